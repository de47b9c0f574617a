# Slicer would write what other extensions need to build against this one.
