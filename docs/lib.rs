//! The Rust of the book, as doc tests. A page that has some is named here; `cargo xtask docs` sees that none is left out.

macro_rules! pages {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($file)]
            struct $name;
        )*
    };
}

pages! {
    Headless = "src/headless.md",
    Inspector = "src/inspector.md",
    QuickStart = "src/quick-start.md",
    Rust = "src/rust.md",
    Settings = "src/settings.md",
    Tickets = "src/tickets.md",
    Writing = "src/writing.md",
}
