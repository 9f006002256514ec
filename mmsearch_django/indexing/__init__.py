"""From marks to vectors: drain, claim, read, embed, write; and the sweep that finds what no mark told."""
