"""Forms of records: how the columns of a data set are recognised, and what a record becomes."""
