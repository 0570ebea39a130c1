"""The WeeWX extension: a copy of core/, link/ and station/ for WeeWX's user/ directory, and its stanza."""
