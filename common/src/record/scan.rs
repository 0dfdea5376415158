//! Scanners of records, generated from the same field lists as the structs.
//!
//! A generated scanner reads fields in the order in which our tools write them, and accepts a text only if serde accepts it, too.
//! An unused field is skipped without building its value. A new field of a struct needs no edit here.

use std::sync::Arc;

use super::cursor::Cursor;
use crate::time::Stamp;

/// A type whose JSON text can be skipped.
pub(crate) trait Scan {
    /// Whether a field of this type may be absent.
    const OPTIONAL: bool = false;

    /// Skips a value; `None` for unusual text.
    fn skip(cursor: &mut Cursor<'_>) -> Option<()>;
}

macro_rules! scan_with {
    ($($type:ty: $read:expr;)*) => {
        $(impl Scan for $type {
            #[inline]
            fn skip(cursor: &mut Cursor<'_>) -> Option<()> {
                $read(cursor).map(drop)
            }
        })*
    };
}

scan_with! {
    u32: Cursor::integer32;
    u64: Cursor::integer;
    f64: Cursor::number;
    bool: Cursor::boolean;
    String: Cursor::text;
    Arc<str>: Cursor::text;
    Stamp: Cursor::stamp;
    Arc<[String]>: Vec::<String>::skip;
}

impl<T: Scan> Scan for Option<T> {
    const OPTIONAL: bool = true;

    #[inline]
    fn skip(cursor: &mut Cursor<'_>) -> Option<()> {
        cursor.nullable(T::skip).map(drop)
    }
}

impl<T: Scan> Scan for Vec<T> {
    fn skip(cursor: &mut Cursor<'_>) -> Option<()> {
        cursor.array(T::skip)
    }
}

/// The bytes of a key as an array, whose length is part of its type.
macro_rules! key_bytes {
    ($name:expr) => {{
        const KEY: &[u8] = concat!("\"", $name, "\":").as_bytes();
        const LENGTH: usize = KEY.len();
        const BYTES: [u8; LENGTH] = match KEY.first_chunk() {
            Some(bytes) => *bytes,
            None => [0; LENGTH],
        };
        &BYTES
    }};
}

/// The JSON key of a field: its name, unless serde renames it.
macro_rules! json_key {
    ($field:ident [serde(rename = $name:literal $($args:tt)*)] $($attr:tt)*) => { $crate::record::scan::key_bytes!($name) };
    ($field:ident [$($other:tt)*] $($attr:tt)*) => { $crate::record::scan::json_key!($field $($attr)*) };
    ($field:ident) => { $crate::record::scan::key_bytes!(stringify!($field)) };
}

/// Skips the key that a field had in an earlier schema, if it comes next.
macro_rules! old_key {
    ($cursor:ident, $separator:ident, [serde(alias = $name:literal)] $($attr:tt)*) => {
        $cursor.key($separator, $crate::record::scan::key_bytes!($name))
    };
    ($cursor:ident, $separator:ident, [serde(skip_serializing_if = $skip:literal, alias = $name:literal)] $($attr:tt)*) => {
        $cursor.key($separator, $crate::record::scan::key_bytes!($name))
    };
    ($cursor:ident, $separator:ident, [$($other:tt)*] $($attr:tt)*) => {
        $crate::record::scan::old_key!($cursor, $separator, $($attr)*)
    };
    ($cursor:ident, $separator:ident,) => { false };
}

/// Whether serde has a default for a field.
macro_rules! has_default {
    ([serde(default $($args:tt)*)] $($attr:tt)*) => { true };
    ([$($other:tt)*] $($attr:tt)*) => { $crate::record::scan::has_default!($($attr)*) };
    () => { false };
}

/// Declares a trait that scans a list of fields: one method a field, which skips its value unless it is overridden.
macro_rules! fields {
    ($(#[$doc:meta])* trait $name:ident { $($(#[$($attr:tt)*])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        pub(crate) trait $name {
            $(
                #[inline]
                fn $field(&mut self, cursor: &mut $crate::record::cursor::Cursor<'_>) -> Option<()> {
                    <$type as $crate::record::scan::Scan>::skip(cursor)
                }
            )*

            /// Scans the fields in their order. `separator` stands before the first.
            #[inline]
            fn scan(&mut self, cursor: &mut $crate::record::cursor::Cursor<'_>, mut separator: u8) -> Option<()> {
                $(
                    if cursor.key(separator, $crate::record::scan::json_key!($field $([$($attr)*])*))
                        || $crate::record::scan::old_key!(cursor, separator, $([$($attr)*])*)
                    {
                        self.$field(cursor)?;
                        separator = b',';
                    } else if !(<$type as $crate::record::scan::Scan>::OPTIONAL
                        || $crate::record::scan::has_default!($([$($attr)*])*))
                    {
                        return None;
                    }
                )*
                let _ = separator;
                Some(())
            }
        }
    };
}

/// Declares a struct together with the trait that scans its fields.
macro_rules! scanned {
    (
        $fields:ident:
        $(#[$($outer:tt)*])*
        pub struct $name:ident { $($(#[$($attr:tt)*])* pub $field:ident: $type:ty,)* }
    ) => {
        $(#[$($outer)*])*
        pub struct $name {
            $($(#[$($attr)*])* pub $field: $type,)*
        }

        $crate::record::scan::fields! {
            #[doc = concat!("Scans the fields of [`", stringify!($name), "`].")]
            trait $fields { $($(#[$($attr)*])* $field: $type,)* }
        }

        impl $crate::record::scan::Scan for $name {
            fn skip(cursor: &mut $crate::record::cursor::Cursor<'_>) -> Option<()> {
                struct Skip;
                impl $fields for Skip {}
                cursor.object(|cursor| Skip.scan(cursor, b'{'))
            }
        }
    };
}

pub(crate) use {fields, has_default, json_key, key_bytes, old_key, scanned};
