"""What names of columns say, in the languages in which shops have them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

Role = Literal["id", "text", "image", "price", "time", "code", "list", "label", "flag"]

IDS = (
    "item_id", "id", "product_id", "sku", "asin", "article_id", "parent_asin", "movie_id", "book_id",
    "itemid", "productid", "articleid", "movieid", "uniq_id", "uuid", "isbn", "ean", "gtin", "handle",
    "item_number", "product_number", "product_code", "item_code", "variant_sku", "barcode", "mpn",
    "item_sku", "item_no", "product_sku", "product_no", "article_number", "article_no", "art_no", "prod_id",
    "style_number", "style_no", "part_number", "part_no", "model_number", "supplier_aid", "supplier_pid",
    "artikelnummer", "artikelnr", "artikel_nr", "art_nr", "artnr", "artikel_id", "artikelcode",
    "produktnummer", "produkt_id", "bestellnummer", "reference", "ref", "code_produit", "code_article",
    "id_produit", "referencia", "codigo", "codigo_producto", "codigo_do_produto", "id_producto",
    "codice", "codice_articolo", "codice_prodotto", "id_prodotto", "numer_artykulu", "indeks", "kod",
    "kod_produktu", "symbol", "артикул", "код", "код_товара", "ид", "идентификатор", "商品id",
    "商品番号", "商品コード", "品番", "商品編号", "商品编号", "商品编码", "产品编号", "产品id", "货号",
    "编号", "番号", "コード", "object_id", "handle_id", "offer_id", "seller_sku", "listing_id",
    "custom_label",
    "varenummer", "varenr", "tuotenumero", "tuotekoodi", "cikkszám", "termékkód", "cod_produs", "cod",
    "ürün_kodu", "stok_kodu", "ürün_id", "κωδικός", "κωδικός_προϊόντος", "상품코드", "상품번호", "상품id",
    "제품코드",
    "품번", "رمز_المنتج", "رقم_المنتج", "الرمز", "الرقم", "کد_محصول", 'מק"ט', "מקט", "รหัสสินค้า", "รหัส",
    "उत्पाद_कोड", "mã_sản_phẩm", "mã_sp", "kode_produk",
)
IMAGES = (
    "image", "images", "image_path", "image_url", "image_link", "image_src", "image_file", "image_urls",
    "photo", "photos", "picture", "pictures", "img", "img_url", "main_image", "featured_image",
    "product_image", "main_image_url", "main_image_link", "cover_image", "thumbnail", "poster",
    "file_name", "filename", "bild", "bilder", "bild_url",
    "bildurl", "produktbild", "hauptbild", "foto", "fotos", "photo_url", "imagen", "imagenes",
    "url_imagen", "immagine", "immagini", "imagem", "imagens", "afbeelding", "afbeeldingen", "zdjecie",
    "zdjecia", "obraz", "obrazek", "картинка", "картинки", "изображение", "изображения", "фото", "画像",
    "商品画像", "画像url", "写真", "图片", "主图", "商品图片", "图片链接", "圖片", "product_image_url",
    "hosted_image_urls", "이미지", "상품이미지", "사진", "الصورة", "صورة", "תמונה", "εικόνα", "resim",
    "görsel",
    "billede", "bilde", "kuva", "kép", "imagine", "poză", "hình_ảnh", "รูปภาพ", "зображення", "gambar", "चित्र",
)
DATES = (
    "added_at", "date_added", "created_at", "created", "date_created", "creation_date", "added",
    "added_on", "created_on", "angelegt", "erstellt", "erstellt_am", "angelegt_am", "hinzugefugt_am",
    "erstelldatum",
    "anlagedatum", "date_de_creation", "date_creation", "date_d_ajout", "fecha_de_creacion",
    "fecha_creacion", "fecha_de_alta", "data_creazione", "data_di_creazione", "data_inserimento",
    "data_de_criacao", "data_criacao", "aangemaakt", "aangemaakt_op", "datum_toegevoegd", "data_dodania",
    "data_utworzenia", "дата_создания", "дата_добавления", "登録日", "登録日時", "作成日", "作成日時",
    "追加日", "创建时间", "创建日期", "添加时间", "上架时间", "oprettet", "opprettet", "skapad", "luotu",
    "vytvořeno",
    "létrehozva", "oluşturma_tarihi", "등록일", "생성일",
)
TEXTS = frozenset({
    "title", "name", "description", "product_title", "product_name", "prod_name", "item_name",
    "display_name", "product_display_name", "productdisplayname", "product_description",
    "short_description", "detail_desc", "long_description", "headline", "subtitle", "summary", "caption",
    "overview", "plot", "synopsis", "abstract", "about", "details", "text", "body", "body_html",
    "content", "desc", "item_title", "descriptions", "description_html", "html_description",
    "description_short", "description_long", "short_desc", "long_desc", "item_description",
    "article_description", "article_name", "style_name", "kurztext", "langtext", "artikeltext", "titel",
    "bezeichnung", "beschreibung",
    "kurzbeschreibung", "langbeschreibung", "artikelbezeichnung", "produktname", "artikelname",
    "produktbeschreibung", "artikelbeschreibung", "untertitel", "produkttitel", "titre", "nom",
    "nom_du_produit", "designation", "libelle", "description_courte", "resume", "titulo", "nombre",
    "nombre_del_producto", "descripcion", "descripcion_corta", "resumen", "titolo", "nome",
    "nome_prodotto", "descrizione", "descrizione_breve", "denominazione", "nome_do_produto", "descricao",
    "descricao_curta", "resumo", "naam", "productnaam", "omschrijving", "beschrijving",
    "korte_beschrijving", "tytul", "nazwa", "nazwa_produktu", "opis", "krotki_opis", "название",
    "наименование", "название_товара", "описание", "краткое_описание", "заголовок", "имя", "текст",
    "商品名", "商品名称", "品名", "名前", "名称", "製品名", "タイトル", "説明", "商品説明", "商品説明文",
    "説明文", "概要", "詳細", "紹介", "标题", "標題", "产品名称", "名字", "描述", "商品描述", "产品描述",
    "说明", "简介", "詳情", "详情", "namn", "benämning", "beskrivning", "produktnamn", "navn", "varenavn",
    "produktnavn", "beskrivelse", "tittel", "nimi", "tuotenimi", "kuvaus", "otsikko", "název",
    "název_produktu",
    "názov", "popis", "név", "megnevezés", "leírás", "terméknév", "denumire", "denumire_produs", "descriere",
    "titlu", "ürün_adı", "başlık", "açıklama", "τίτλος", "όνομα", "περιγραφή", "상품명", "제품명", "이름",
    "제목",
    "설명", "상품설명", "الاسم", "اسم_المنتج", "العنوان", "الوصف", "نام", "عنوان", "توضیحات", "שם", "שם_מוצר",
    "כותרת", "תיאור", "ชื่อ", "ชื่อสินค้า", "รายละเอียด", "नाम", "शीर्षक", "विवरण", "tên", "tên_sản_phẩm", "mô_tả",
    "tiêu_đề", "назва", "опис", "найменування", "nama", "nama_produk", "deskripsi",
})



def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TOKENS: dict[Role, frozenset[str]] = {
    "price": _words(
        "price prices msrp rrp cost amount tarif preis uvp vk ek kosten betrag prix cout montant precio"
        " coste "
        "importe prezzo costo importo preco custo valor prijs bedrag cena cennik koszt цена стоимость "
        "価格 値段 販売価格 金額 定価 价格 售价 定价 价钱 單價 单价 pris priset prisen hinta ár preț"
        " fiyat fiyatı "
        "τιμή 가격 판매가 السعر سعر قیمت מחיר ราคา मूल्य कीमत giá harga ціна"
    ),
    "time": _words(
        "date time timestamp datetime ts created updated modified added published released launch "
        "launched expires datum zeit zeitpunkt erstellt geandert fecha hora horodatage data dia дата "
        "время 日付 日時 時刻 日期 时间 登録日 発売日 作成日 更新日 追加日 dato päivämäärä dátum tarih"
        " tarihi "
        "ημερομηνία 날짜 등록일 생성일 التاريخ תאריך วันที่ ngày tanggal"
    ),
    "code": _words(
        "ean gtin upc isbn issn asin mpn sku code barcode plz zip zipcode postcode postal phone tel "
        "telefon fax id nr nummer artikelnummer uuid hash hs hsn taric код артикул штрихкод 番号 コード "
        "品番 编码 条码 编号 货号 jan kod codigo codice strichcode referenz reference referencia"
    ),
    "list": _words(
        "tags tag genres categories sizes colors colours keywords features labels materials schlagworte "
        "schlagworter stichworte kategorien grossen farben merkmale etiquettes tailles couleurs "
        "etiquetas categorias tallas colores categorie taglie colori tagi kategorie rozmiary kolory "
        "maten kleuren теги метки категории размеры цвета жанры タグ カテゴリ カテゴリー ジャンル 标签 "
        "分类 类别"
    ),
    "label": _words(
        "brand vendor manufacturer maker marke hersteller marque fabricant marca fabricante produttore "
        "merk fabrikant marka producent бренд производитель марка ブランド メーカー 品牌 厂商 color "
        "colour farbe couleur colore cor kleur kolor цвет 色 カラー 颜色 size grosse taille talla "
        "taglia tamanho maat rozmiar размер サイズ 尺寸 尺码 material matiere materiale materiaal "
        "materiał материал 素材 材质 type typ tipo category kategorie categorie categoria kategoria "
        "категория カテゴリ 类别 status availability condition zustand gender season country land pays "
        "pais paese kraj страна 国 unit einheit collection kollektion department author autor language "
        "currency wahrung supplier option variant färg farve farge väri barva szín culoare renk χρώμα"
        " 색상 اللون "
        "צבע สี रंग màu колір warna märke varumärke mærke značka 브랜드 카테고리 사이즈 ürün_rengi"
    ),
    "flag": _words(
        "is has in available active enabled published visible sale onsale stock instock lagernd aktiv "
        "neu new verfugbar disponible actif activo attivo ativo actief aktywny активен наличии 在庫 "
        "有货"
    ),
}


@lru_cache(maxsize=4_096)
def plain_name(name: str) -> str:
    """A name in small letters without accents, its words joined by `_`: "createdAt" gives created_at."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)
    letters = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(letter for letter in letters if not "\u0300" <= letter <= "\u036f")
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFC", letters)).strip("_")


@lru_cache(maxsize=4_096)
def roles(name: str) -> frozenset[Role]:
    """What a column may be by its name. Compounds count by their last part: Verkaufspreis is a price."""
    name = _core(name)
    plain = plain_name(name)
    words = plain.split("_")
    if (bare := _LOCALE.sub("", plain)) != plain and bare in _FOLDED["text"]:
        return frozenset({"text"})
    found: set[Role] = {role for role, known in _JOINED.items() if joined(plain) in known}
    if joined(re.sub(r"\d+$", "", plain)) in _JOINED["image"]:
        found.add("image")
    found |= {role for role, known in _WORDS.items() if plain in known or not known.isdisjoint(words)}
    last = re.sub(r"\d+$", "", words[-1])
    if last in ("at", "on") and len(words) > 1:
        found.add("time")
    found.discard("code")  # which counts at the end alone: "id_number_of_pages" is none
    for role in _AT_END:
        if last in _WORDS[role] or any(last.endswith(word) for word in _WORDS[role] if _telling(word)):
            found.add(role)
    if any(plain.endswith(word) for word in _FOLDED["text"] if _telling(word)):
        found.add("text")
    return frozenset(found)


def is_title(name: str) -> bool:
    """Whether a column is what things are called, even where that is a number: 1917, a film."""
    return joined(_LOCALE.sub("", plain_name(_core(name)))) in _TITLES


@lru_cache(maxsize=4_096)
def joined(name: str) -> str:
    """The plain name of a column without what parts its words: productName and product_name are one."""
    return plain_name(name).replace("_", "")


def _core(name: str) -> str:
    """The name of a part of objects without those that are around everything: `data.attributes.name`."""
    parts = name.removesuffix(".rendered").split(".")
    while len(parts) > 1 and plain_name(parts[0]) in _AROUND:
        del parts[0]
    return ".".join(parts)


def _telling(word: str) -> bool:
    """Whether the end of a compound may be this word: long, or of letters that are words."""
    return len(word) > 4 or (len(word) > 1 and word[0] > "\u3000")


# Title_de, name-en_US-ecommerce, description(en-gb).
_LOCALE = re.compile(
    r"_(?:ar|bg|cs|da|de|el|en|es|et|fi|fr|he|hr|hu|it|ja|ko|lt|lv|nb|nl|no|pl|pt|ro|ru|sk|sl|sv|th|tr|uk"
    r"|vi|zh)(?:_[a-z]{2})?(?:_(?:ecommerce|mobile|print|web|default))?$"
)
_AROUND = frozenset({
    "attributes", "basic", "content", "core", "current", "data", "default", "details", "fields", "general",
    "i18n", "info", "item", "localizations", "master_data", "node", "product", "source", "staged", "texts",
    "translation", "translations",
})
_AT_END: tuple[Role, ...] = ("price", "time", "code", "list")
_FOLDED: dict[Role, frozenset[str]] = {
    "id": frozenset(map(plain_name, IDS)), "image": frozenset(map(plain_name, IMAGES)),
    "text": frozenset(map(plain_name, TEXTS)), "time": frozenset(map(plain_name, DATES)),
}
_WORDS = {role: frozenset(map(plain_name, words)) for role, words in _TOKENS.items()}
_JOINED = {role: frozenset(map(joined, names)) for role, names in _FOLDED.items()}
_TITLES = frozenset(map(joined, (
    "title", "name", "product_name", "product_title", "prod_name", "item_name", "item_title", "titel",
    "titre", "titulo", "titolo", "nombre", "nome", "nom", "bezeichnung", "artikelname", "produktname",
    "название", "наименование", "商品名", "商品名称", "名称", "标题", "タイトル",
)))
_TOTALS = frozenset(
    [
        "total", "totals", "subtotal", "sum", "summe", "gesamt", "gesamtsumme", "somme", "totale",
        "totaal", "suma", "razem", "итого", "всего", "合計", "小計", "合计", "总计", "grand total",
        "sub total",
    ]
)


def is_total(item_id: str) -> bool:
    """Whether an id is the word of a line of totals."""
    return item_id.casefold().strip(": ") in _TOTALS
