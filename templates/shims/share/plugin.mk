.PHONY: precustom custom
precustom::
	@:
custom::
	@:
