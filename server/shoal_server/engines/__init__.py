"""numba, sklearn and scipy behind one contract (contract.py): points and centroids in, what they add up to out."""
