//! Methods of finding the interpreter's state in a process.

use std::str::FromStr;

/// A method of finding the interpreter's state, `_PyRuntime`, in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocateMethod {
    /// The symbol table of the file that holds it.
    Symtab,
    /// The dynamic symbols, which strip(1) leaves.
    Dynsym,
    /// The section `.PyRuntime`, which CPython has since 3.10.
    Section,
    /// The cookie at the beginning of the debug offsets, which CPython has since 3.13.
    Cookie,
    /// A search of writable data for pointers like an interpreter's.
    Scan,
}

impl LocateMethod {
    /// All methods in the order in which they are tried: surest and cheapest first.
    pub const ALL: [Self; 5] = [Self::Dynsym, Self::Symtab, Self::Section, Self::Cookie, Self::Scan];

    /// Its name in records and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symtab => "symtab",
            Self::Dynsym => "dynsym",
            Self::Section => "section",
            Self::Cookie => "cookie",
            Self::Scan => "scan",
        }
    }
}

impl FromStr for LocateMethod {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|method| method.as_str() == name).ok_or(())
    }
}
