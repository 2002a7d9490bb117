"""Speed, measured: ratios against a floor in the same run, medians, the command beside them."""
