"""Rankings, conclusions and text tables from the frame of results."""
