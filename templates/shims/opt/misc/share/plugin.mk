# Where plugin.mk was in earlier versions of MetWork.
include $(dir $(lastword $(MAKEFILE_LIST)))../../../share/plugin.mk
