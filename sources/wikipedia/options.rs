//! What of a page's markup is made readable, and how the original had it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! choices {
    ($($(#[$about:meta])* $name:ident { $(#[$ours:meta])* $default:ident, $(#[$theirs:meta])* $original:ident })*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $(#[$ours])*
            #[default]
            $default,
            $(#[$theirs])*
            $original,
        }
    )*};
}

choices! {
    /// Which revision of a page counts.
    Revision {
        /// The last one in the dump.
        Last,
        /// The first one: the original's.
        First
    }

    /// How addresses of pages are written.
    Addresses {
        /// As the wiki itself writes them, `/wiki/New_York`.
        Underscores,
        /// With spaces as `%20`: the original's.
        Quoted
    }

    /// Which of several files or references go.
    SideBySide {
        /// All.
        All,
        /// The first, the third and so on, because a list is walked through while it is cut: the
        /// original's.
        EveryOther
    }

    /// What becomes of links to categories.
    Categories {
        /// They go.
        Drop,
        /// Their names, or the keys that they are sorted by, stay as lines: the original's.
        Names
    }

    /// What becomes of links to the same article in other languages, `[[de:Berlin]]`.
    Languages {
        /// They go.
        Drop,
        /// They stay as `de:Berlin`: the original's.
        Keep
    }

    /// What becomes of templates.
    Templates {
        /// Of those that stand for a few words in the middle of a sentence, such as `{{lang|fr|mot}}`
        /// and `{{convert|12|km|mi}}`, these words stay; all others go.
        Inline,
        /// All go: the original's.
        Drop
    }

    /// What becomes of formulas.
    Formulas {
        /// `<math>` stays as TeX between dollar signs, and small digits stay small: `10⁶`, `H₂O`.
        Tex,
        /// `<math>` goes, and small digits become large ones, `106`: the original's.
        Drop
    }

    /// What becomes of lists.
    Lists {
        /// Each item begins with `- ` or its number, and those of which nothing is left go.
        Marked,
        /// Each item begins with a space: the original's.
        Bare
    }

    /// Which headings stay.
    Headings {
        /// Those that have something below them.
        Filled,
        /// All, also over references and tables that went: the original's.
        All
    }

    /// What markup leaves behind where it went.
    Leftovers {
        /// Brackets with nothing in them, spaces before a comma and two spaces go, lines break where
        /// `<br>` breaks them, and so do behaviour switches in any script.
        Tidy,
        /// It stays: the original's.
        Keep
    }
}
