"""A comparison as HTML: one file with every view, that needs no network and no script; and its parts, for other pages.

The parts are those that `player.js` lights and draws at the same step. A page puts them where it likes, within one
element, and hands that to the script's `shoalPlay`.
"""

from shoal_presentation.report.page import MARK, outcome_of, report_page
from shoal_presentation.report.player import PlayerParts, player_parts, script, stylesheet

__all__ = ["MARK", "PlayerParts", "outcome_of", "player_parts", "report_page", "script", "stylesheet"]
