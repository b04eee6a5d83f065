"""Front ends of other packages: marimo, nbclassic, Voilà. `make compat` has them in an environment of their own."""
