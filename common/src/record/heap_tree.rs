//! The tree of holders in a census.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::names;
use super::omitted::Omitted;
use super::scan::scanned;

names! {
    /// The kind of a node in the tree of holders.
    pub enum HeapNodeKind {
        /// All objects.
        Heap,
        /// A module, or a group of objects without one.
        Module,
        /// A holder: a variable of a module, an attribute of an object.
        Holder,
        /// A type: objects of it, and all that is retained by them.
        Type,
    }
}

scanned! {
    HeapNodeFields:
    /// A node of the tree of holders.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct HeapNode {
        /// Its level: 0 for all objects. The node above is the last one before it with a lower level.
        pub depth: u32,
        /// Its kind.
        pub kind: HeapNodeKind,
        /// The name of the module, the path of the holder, or the type.
        pub name: Arc<str>,
        /// The number of its objects, with those of all nodes below.
        pub count: u64,
        /// The sum of their sizes.
        pub size_bytes: u64,
        /// The nodes directly below that are smaller than a thousandth of all bytes; absent if there are none.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub omitted: Option<Omitted>,
    }
}
