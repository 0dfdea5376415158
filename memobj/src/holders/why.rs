//! Why objects of a type are there: the ways to them, like ones as one.
