"""The headers of WooCommerce's exports in English: it translates them to the language of the shop.

Names are as `plain_name` writes them, in several forms, as versions of a translation differ. A header that is
not here is that of any other column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_NAMES: Mapping[str, str] = {  # German, French, Spanish, Dutch, Italian, Portuguese, Polish, Swedish, Danish
    "type": "typ tipo soort rodzaj",
    "sku": "artikelnummer ugs cod referencia varenummer",
    "gtin_upc_ean_or_isbn": "gtin_upc_ean_oder_isbn gtin_upc_ean_ou_isbn gtin_upc_ean_o_isbn"
        " gtin_upc_ean_of_isbn gtin_upc_ean_lub_isbn gtin_upc_ean_eller_isbn",
    "name": "nom nombre naam nome nazwa namn navn",
    "published": "veroffentlicht publie publicado gepubliceerd pubblicato opublikowano publicerad publiceret",
    "is_featured": "ist_hervorgehoben hervorgehoben mis_en_avant esta_destacado destacado is_uitgelicht"
        " uitgelicht in_primo_piano e_in_primo_piano e_in_evidenza in_evidenza e_destaque em_destaque"
        " wyrozniony ar_utvald er_fremhaevet",
    "visibility_in_catalog": "sichtbarkeit_im_katalog visibilite_dans_le_catalogue"
        " visibilidad_en_el_catalogo zichtbaarheid_in_catalogus zichtbaarheid_in_de_catalogus"
        " visibilita_nel_catalogo visibilidade_no_catalogo widocznosc_w_katalogu synlighet_i_katalogen",
    "short_description": "kurzbeschreibung description_courte breve_description descripcion_corta"
        " korte_beschrijving breve_descrizione descrizione_breve descricao_curta breve_descricao"
        " krotki_opis kort_beskrivning kort_beskrivelse",
    "description": "beschreibung descripcion beschrijving descrizione descricao opis beskrivning beskrivelse",
    "date_sale_price_starts": "datum_an_dem_angebotspreis_beginnt date_de_debut_de_promo"
        " dia_en_que_empieza_el_precio_rebajado startdatum_actieprijs datum_start_actieprijs"
        " data_di_inizio_del_prezzo_in_saldo data_inizio_saldo data_de_inicio_de_preco_promocional",
    "date_sale_price_ends": "datum_an_dem_angebotspreis_endet date_de_fin_de_promo"
        " dia_en_que_termina_el_precio_rebajado einddatum_actieprijs datum_einde_actieprijs"
        " data_di_fine_del_prezzo_in_saldo data_fine_saldo data_de_termino_de_preco_promocional",
    "tax_status": "steuerstatus etat_de_la_tva statut_de_tva estado_del_impuesto btw_status belastingstatus"
        " stato_delle_imposte stato_imposta status_do_imposto status_podatku momsstatus",
    "tax_class": "steuerklasse classe_de_tva clase_de_impuesto btw_klasse belastingklasse"
        " aliquota_di_imposta classe_di_imposta classe_de_imposto klasa_podatkowa momsklass momsklasse",
    "in_stock": "vorratig auf_lager en_stock hay_existencias existencias en_inventario op_voorraad in_stock"
        " disponibile em_estoque w_magazynie i_lager pa_lager",
    "stock": "lager bestand lagerbestand inventario voorraad magazzino giacenza estoque stan_magazynowy"
        " lagersaldo",
    "low_stock_amount": "geringe_lagermenge geringer_lagerbestand montant_de_stock_faible"
        " stock_faible cantidad_de_bajo_inventario cantidad_de_pocas_existencias lage_voorraad"
        " lage_voorraad_hoeveelheid quantita_bassa_in_magazzino ammontare_scorte_basso"
        " quantidade_baixa_de_estoque",
    "backorders_allowed": "lieferruckstande_erlaubt lieferruckstand_erlaubt"
        " autoriser_les_commandes_de_produits_en_rupture permitir_reservas_de_productos_agotados"
        " permitir_reservas nabestellingen_toegestaan nabestelling_toegestaan ordini_arretrati_consentiti"
        " permitir_encomendas",
    "sold_individually": "nur_einzeln_verkaufen einzeln_verkauft vendre_individuellement"
        " vendido_individualmente wordt_individueel_verkocht individueel_verkocht venduto_singolarmente"
        " vendido_individualmente",
    "allow_customer_reviews": "kundenrezensionen_erlauben kundenbewertungen_erlauben"
        " autoriser_les_avis_clients permitir_valoraciones_de_clientes klantbeoordelingen_toestaan"
        " klantbeoordeling_toestaan abilita_le_recensioni_dei_clienti permetti_le_recensioni_dei_clienti"
        " permitir_avaliacoes_de_clientes",
    "purchase_note": "hinweis_zum_kauf kaufhinweis note_de_commande note_d_achat nota_de_compra"
        " aankoopnotitie aankoopnota nota_di_acquisto nota_da_compra",
    "sale_price": "angebotspreis tarif_promo prix_promo precio_rebajado actieprijs prezzo_in_offerta"
        " prezzo_in_saldo preco_promocional cena_promocyjna reapris tilbudspris",
    "regular_price": "regularer_preis normaler_preis tarif_regulier prix_regulier precio_normal"
        " precio_habitual reguliere_prijs normale_prijs prezzo_di_listino prezzo_normale preco cena_regularna"
        " cena ordinarie_pris normalpris",
    "categories": "kategorien categorias categorieen categorie kategorie kategorier",
    "tags": "schlagworter etiquettes mots_cles etiquetas tag tagi znaczniki taggar",
    "brands": "marken marques marcas merken marchi marki",
    "shipping_class": "versandklasse classe_d_expedition classe_de_livraison clase_de_envio verzendklasse"
        " classe_di_spedizione classe_de_entrega klasa_wysylkowa",
    "images": "bilder imagenes afbeeldingen immagini imagens obrazki zdjecia billeder",
    "download_limit": "downloadlimit limite_de_telechargement limite_de_descargas limite_di_download",
    "download_expiry_days": "ablauftage_des_downloads jours_d_expiration_du_telechargement"
        " dias_de_caducidad_de_la_descarga dagen_vervaltermijn_download giorni_di_scadenza_per_il_download",
    "parent": "ubergeordnet ubergeordnetes_produkt eltern superior principal hoofd bovenliggend genitore"
        " ascendente nadrzedny overordnad",
    "grouped_products": "gruppierte_produkte groupes_de_produits produits_groupes productos_agrupados"
        " gegroepeerde_producten prodotti_raggruppati produtos_agrupados",
    "upsells": "zusatzverkaufe produits_suggeres montees_en_gamme ventas_dirigidas up_sells up_sell",
    "cross_sells": "querverkaufe cross_sells_querverkaufe ventes_croisees ventas_cruzadas cross_sell",
    "external_url": "externe_url url_externe url_externa url_esterno",
    "button_text": "button_text texte_du_bouton libelle_du_bouton texto_del_boton knop_tekst knoptekst"
        " testo_del_pulsante texto_do_botao",
    "position": "posicion positie posizione posicao pozycja",
}
_ENGLISH = {name: english for english, names in _NAMES.items() for name in names.split()}
_ATTRIBUTE = re.compile(r"(?=.*(?:attribu|atribut|atrybut)).*?(\d+).*")
_PARTS: Mapping[str, re.Pattern[str]] = {
    "value_s": re.compile(r"wert|valeur|valor|waarde|valore|wartosc|vard"),
    "visible": re.compile(r"sichtbar|visib|zichtba|widoczn|synlig"),
    "global": re.compile(r"global"),
    "default": re.compile(r"standard|par_defaut|predetermin|standaard|predefinit|padrao|domysln"),
    "name": re.compile(r"nom|naa?m|nazwa|navn"),
}


@lru_cache(maxsize=4_096)
def english(name: str) -> str:
    """The English name of a column, itself where it is one: "attribut_2_wert_e" gives attribute_2_value_s."""
    if found := _ATTRIBUTE.fullmatch(name):
        part = next((part for part, words in _PARTS.items() if words.search(name)), None)
        return f"attribute_{found[1]}_{part}" if part else name
    return _ENGLISH.get(name, name)
