"""The shapes of providers' usage exports, a file each; every `ExportShape` in them is found."""
