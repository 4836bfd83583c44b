"""The views of one comparison, as text and plain values. No HTML, no drawing, no server here.

Everything is computed from the run's own steps, so it is right for any points.
"""

from shoal_presentation.views.code import CodeSample, code_of
from shoal_presentation.views.convergence import convergence_step
from shoal_presentation.views.explanations import KeyMoment, key_moments
from shoal_presentation.views.flow import Arrow, Flow, Stage, StageName, active_stages, flow_of
from shoal_presentation.views.key_facts import key_facts_of
from shoal_presentation.views.notes import notes_of
from shoal_presentation.views.plot import MAX_POINTS, PanelState, Plot, Trail, plot_of
from shoal_presentation.views.projection import Axis
from shoal_presentation.views.quiz import Question, quiz_of
from shoal_presentation.views.run import EngineText, Run, engine_text
from shoal_presentation.views.table import Cell, Row, rows_of
from shoal_presentation.views.tracker import Tracker, TrackerColumn, track
from shoal_presentation.views.transcript import transcript_of

__all__ = [
    "MAX_POINTS",
    "Arrow",
    "Axis",
    "Cell",
    "CodeSample",
    "EngineText",
    "Flow",
    "KeyMoment",
    "PanelState",
    "Plot",
    "Question",
    "Row",
    "Run",
    "Stage",
    "StageName",
    "Tracker",
    "TrackerColumn",
    "Trail",
    "active_stages",
    "code_of",
    "convergence_step",
    "engine_text",
    "flow_of",
    "key_facts_of",
    "key_moments",
    "notes_of",
    "plot_of",
    "quiz_of",
    "rows_of",
    "track",
    "transcript_of",
]
