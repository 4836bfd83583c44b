"""The text views: the flow, the program, key moments, the quiz."""

from __future__ import annotations

from html import escape
from string import ascii_uppercase

from shoal_presentation.views import Question, Run, code_of, flow_of, key_moments, quiz_of


def flow(run: Run) -> str:
    """Return the stages as a list; the question names the arrow back."""
    drawn = flow_of(run)
    back = {arrow.source: arrow.condition for arrow in drawn.arrows if arrow.target == "assign" and arrow.condition}
    yes = {arrow.target for arrow in drawn.arrows if arrow.condition == "yes"}
    return "".join(
        f'<li data-stage="{stage.name}">{"<i>yes</i>" if stage.name in yes else ""}<b>{escape(stage.title)}</b>'
        f"<span>{escape(stage.detail)}</span>{_back(back.get(stage.name))}</li>"
        for stage in drawn.stages
    )


def _back(condition: str | None) -> str:
    return "" if condition is None else f"<em>↺ {escape(condition)}</em>"


def code(run: Run) -> str:
    """Return the program, each line an element that the player can highlight."""
    lines = code_of(run).source.rstrip("\n").split("\n")
    return "\n".join(f'<span data-line="{index}">{escape(line)}</span>' for index, line in enumerate(lines, 1))


def key_moments_list(run: Run) -> str:
    """Return questions and explanations."""
    return "".join(
        f"<div><h3>{escape(moment.question)}</h3><p>{escape(moment.explanation)}</p></div>"
        for moment in key_moments(run)
    )


def quiz(run: Run) -> str:
    """Return the questions; hints and answers open without JavaScript."""
    return "".join(_question(index, question) for index, question in enumerate(quiz_of(run), 1))


def _question(index: int, question: Question) -> str:
    options = "".join(f"<li>{escape(option)}</li>" for option in question.options)
    right = f"{ascii_uppercase[question.answer]}: {question.options[question.answer]}."
    return (
        f'<div class="card question"><h3>{index}. {escape(question.text)}</h3><ol type="A">{options}</ol>'
        f"<details><summary>A hint for question {index}</summary><p>{escape(question.hint)}</p></details>"
        f"<details><summary>The answer to question {index}</summary>"
        f"<p><b>{escape(right)}</b> {escape(question.explanation)}</p></details></div>"
    )
