//! Enums that records contain by name.

/// Declares enums that records contain by name. An unknown name is read as `Unknown`.
macro_rules! names {
    ($($(#[$attr:meta])* pub enum $name:ident { $($(#[$variant_attr:meta])* $variant:ident,)* })*) => {
        $(
            $(#[$attr])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
            #[serde(rename_all = "snake_case")]
            pub enum $name {
                $($(#[$variant_attr])* $variant,)*
                /// A name that this version does not know.
                #[serde(other)]
                Unknown,
            }
        )*
        $crate::record::names::named!($($name),*);
    };
}

/// Implements `Display`, `From<&str>` and `Scan` with the names of serde.
macro_rules! named {
    ($($name:ty),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                serde::Serialize::serialize(self, f)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name);
                serde::Deserialize::deserialize(name).unwrap_or(Self::Unknown)
            }
        }

        impl $crate::record::scan::Scan for $name {
            #[inline]
            fn skip(cursor: &mut $crate::record::cursor::Cursor<'_>) -> Option<()> {
                cursor.text().map(drop)
            }
        }
    )*};
}

pub(crate) use {named, names};
