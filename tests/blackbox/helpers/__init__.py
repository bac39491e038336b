"""What the black-box tests share: the server and its nouns, callbacks, HTTP, Redis, certificates."""
