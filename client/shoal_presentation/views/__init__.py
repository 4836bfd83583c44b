"""The views of one comparison: what its steps say, as text and plain values. No HTML, no drawing, no server here.

Everything is made of the run's own steps, so that it is right whatever the points are.
"""

from shoal_presentation.views.code import CodeSample, code_of
from shoal_presentation.views.flow import Arrow, Flow, Stage, StageName, flow_of, lit_by
from shoal_presentation.views.happenings import KeyMoment
from shoal_presentation.views.moments import key_moments
from shoal_presentation.views.notes import notes_of
from shoal_presentation.views.plot import MAX_POINTS, Frame, Plot, Trail, plot_of
from shoal_presentation.views.projection import Axis
from shoal_presentation.views.quiz import Question, quiz_of
from shoal_presentation.views.run import Run, Words, words_of
from shoal_presentation.views.settling import settling_step
from shoal_presentation.views.snapshot import snapshot_of
from shoal_presentation.views.table import Cell, Row, rows_of
from shoal_presentation.views.tracker import Moment, Tracker, track
from shoal_presentation.views.transcript import transcript_of

__all__ = [
    "MAX_POINTS",
    "Arrow",
    "Axis",
    "Cell",
    "CodeSample",
    "Flow",
    "Frame",
    "KeyMoment",
    "Moment",
    "Plot",
    "Question",
    "Row",
    "Run",
    "Stage",
    "StageName",
    "Tracker",
    "Trail",
    "Words",
    "code_of",
    "flow_of",
    "key_moments",
    "lit_by",
    "notes_of",
    "plot_of",
    "quiz_of",
    "rows_of",
    "settling_step",
    "snapshot_of",
    "track",
    "transcript_of",
    "words_of",
]
