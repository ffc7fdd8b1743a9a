"""Where runs live: keys, atomic scripts and the typed operations over them."""
