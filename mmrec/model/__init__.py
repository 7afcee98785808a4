"""All that is learned or fused: content, towers, losses and the parts of a head; arrays in, arrays out."""
