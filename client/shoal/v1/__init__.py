"""The messages and stubs of shoal.v1, generated from proto/ by `make proto`. Not edited by hand."""
