"""The views of one comparison: what its steps say, as text and plain values. No HTML, no drawing, no server here.

Everything is made of the run's own steps, so that it is right whatever the points are.
"""

from shoal.views.code import CodeSample, code_of
from shoal.views.flow import Arrow, Flow, Stage, StageName, flow_of, lit_by
from shoal.views.notes import notes_of
from shoal.views.run import Run, Words, words_of
from shoal.views.table import Cell, Row, rows_of
from shoal.views.tracker import Moment, Tracker, track

__all__ = [
    "Arrow",
    "Cell",
    "CodeSample",
    "Flow",
    "Moment",
    "Row",
    "Run",
    "Stage",
    "StageName",
    "Tracker",
    "Words",
    "code_of",
    "flow_of",
    "lit_by",
    "notes_of",
    "rows_of",
    "track",
    "words_of",
]
