"""Where papers come from; nothing above this floor sees a loose dict, a CSV row or XML."""
