"""How much two samples differ, how sure that is, and how large it is: pure functions over arrays, never NaN."""
