//! The types of a target's objects, each inspected once, when its first object is met.

mod inspect;
mod registry;
mod type_info;

pub use registry::TypeRegistry;
pub use type_info::{Class, Traverse, Type, TypeId};
