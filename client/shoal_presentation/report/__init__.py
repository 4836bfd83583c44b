"""A comparison as HTML: one file with every view, which needs no network or script; and its parts, for other pages.

`player.js` draws and highlights the parts at the same step. A page puts them where it likes, within one
element, and hands that to the script's `shoalPlay`.
"""

from shoal_presentation.report.page import MARK, outcome_of, report_page
from shoal_presentation.report.player import PlayerParts, player_parts, script, stylesheet

__all__ = ["MARK", "PlayerParts", "outcome_of", "player_parts", "report_page", "script", "stylesheet"]
