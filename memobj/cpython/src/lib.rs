//! Reads a CPython interpreter in another process's memory: its layout, its runtime, its allocator and every object of its heap. It knows
//! nothing of leaks, records and options.
//!
//! | layer | modules | contract |
//! |---|---|---|
//! | errors | [`stage`] | the steps that can fail |
//! | layout | [`layout`] | where everything is in each version of CPython, or an error that says what is missing |
//! | object | [`object`] | a single object, read by what it is: a name, an entry of a dict, an attribute |
//! | runtime | [`runtime`] | which Python it is, where its interpreters and threads are, that its layout holds |
//! | pools | [`pools`] | what the allocator of small objects has given out |
//! | heap | [`heap`] | every live object, its type, its size, and what it refers to |

pub mod heap;
pub mod layout;
pub mod object;
pub mod pools;
pub mod runtime;
pub mod stage;
