"""The views of one comparison: what its steps say, as text and plain values. No HTML, no drawing, no server here.

Everything is made of the run's own steps, so that it is right whatever the points are.
"""

from shoal.views.notes import notes_of
from shoal.views.run import Run, Words, words_of
from shoal.views.table import Cell, Row, rows_of
from shoal.views.tracker import Moment, Tracker, track

__all__ = ["Cell", "Moment", "Row", "Run", "Tracker", "Words", "notes_of", "rows_of", "track", "words_of"]
