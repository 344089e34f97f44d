"""What each section of a page says, in words and pieces; the template gives them their places."""
