"""DICOM out: a finished translation and its source's series in, derived objects of the same patient and study out."""
