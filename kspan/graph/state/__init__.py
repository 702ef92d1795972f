"""The live state of the fold: the two graphs, the stored records, and the rows made of them. Pure."""
