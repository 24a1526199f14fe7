"""Files, locks and facts about the machine."""
