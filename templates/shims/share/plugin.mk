# What a plugin's Makefile includes: the usual targets, done by mwp.
#
#   include $(MFEXT_HOME)/share/plugin.mk
#
# A Makefile may add to it, as it always could: `precustom::`, `custom::` and
# `clean::` rules, targets of its own, prerequisites or a recipe for `all`,
# variables. `mwp build` runs the `precustom` and `custom` rules when their time
# has come, with `make precustom` and MWP_MAKE_HOOK=1; mwp is not called from
# there again, whatever those rules depend on.

MWP ?= mwp

# No recipe here: a Makefile may give one.
all: mwp-build

.PHONY: all check clean custom develop mwp-build precustom release superclean

mwp-build:
	$(call mwp-call,build)

develop:
	$(call mwp-call,develop)

release:
	$(call mwp-call,release)

check:
	$(call mwp-call,check)

clean::
	$(call mwp-call,clean)

superclean: clean
	$(call mwp-call,superclean)

# A `precustom` rule may ask for it.
.plugin_format_version:
	@echo "$(or $(MFMODULE_VERSION),1.0.0)" >$@

precustom::
	@:

custom::
	@:

# The `+` hands on make's job slots; since make would then run the command even
# for `make -n`, -q and -t, those see it without.
mwp-flags = $(firstword -$(MAKEFLAGS))
mwp-idle = $(or $(findstring n,$(mwp-flags)),$(findstring q,$(mwp-flags)),$(findstring t,$(mwp-flags)))
mwp-call = $(if $(MWP_MAKE_HOOK),@:,$(if $(mwp-idle),$(MWP) $(1),+@$(MWP) $(1)))

# `make clean release` means one after the other, with -j too.
ifneq ($(words $(filter all check clean custom develop precustom release superclean,$(MAKECMDGOALS))),0)
ifneq ($(words $(MAKECMDGOALS)),1)
.NOTPARALLEL:
endif
endif

# What Makefiles ask for; found out when first used, and only once.
NAME = $(eval NAME := $$(shell sed -n '1s/^plugin_\(.*\)@.*/\1/p' .layerapi2_label))$(NAME)
LAYERS = $(eval LAYERS := $$(shell sed -e '/^ *\#/d' -e '/^ *$$$$/d' .layerapi2_dependencies | paste -s -d , -))$(LAYERS)
VERSION = $(eval VERSION := $$(shell $$(MWP) check --print version))$(VERSION)
RELEASE = $(eval RELEASE := $$(shell $$(MWP) check --print release))$(RELEASE)
