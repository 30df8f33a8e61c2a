//! Commands and environments by what they are.

/// Commands of which arguments are looked for, wherever they stand.
pub(super) const TAKES: [&str; 17] = [
    "title",
    "icmltitle",
    "Title",
    "abstract",
    "Abstract",
    "maketitle",
    "endtopmatter",
    "printAffiliationsAndNotice",
    "tableofcontents",
    "listoffigures",
    "listoftables",
    "printbibliography",
    "bibliography",
    "bibliographystyle",
    "nocite",
    "addbibresource",
    "newpage",
];

/// Commands whose argument may be a macro without braces.
pub(super) const ONE_ARGUMENT: [&str; 30] = [
    "frac",
    "dfrac",
    "tfrac",
    "sqrt",
    "hat",
    "bar",
    "tilde",
    "vec",
    "dot",
    "ddot",
    "acute",
    "check",
    "overline",
    "underline",
    "widehat",
    "widetilde",
    "mathbf",
    "mathrm",
    "mathcal",
    "mathbb",
    "mathfrak",
    "mathsf",
    "bm",
    "boldsymbol",
    "text",
    "textbf",
    "textit",
    "emph",
    "overrightarrow",
    "binom",
];

/// What stands before the first header and is not the paper's text: who wrote it, where and when, and
/// how its pages look.
pub(super) const FRONT: [&str; 83] = [
    "tnoteref",
    "tnotetext",
    "fnref",
    "corref",
    "cortext",
    "fntext",
    "titlenote",
    "authornote",
    "linenumbers",
    "author",
    "authors",
    "Author",
    "affiliation",
    "affil",
    "affiliations",
    "address",
    "curraddr",
    "urladdr",
    "email",
    "ead",
    "date",
    "thanks",
    "institute",
    "institution",
    "inst",
    "altaffiliation",
    "altaffilmark",
    "altaffiltext",
    "noaffiliation",
    "homepage",
    "preprint",
    "pacs",
    "subjclass",
    "orcid",
    "orcidlink",
    "orcidID",
    "correspondingauthor",
    "corresponding",
    "collaboration",
    "authorrunning",
    "titlerunning",
    "titlehead",
    "markboth",
    "markright",
    "pagestyle",
    "thispagestyle",
    "shorttitle",
    "shortauthors",
    "runningtitle",
    "runningauthor",
    "runninghead",
    "received",
    "revised",
    "accepted",
    "published",
    "submitted",
    "submitjournal",
    "journal",
    "journalname",
    "jmlrheading",
    "ShortHeadings",
    "editor",
    "dedicatory",
    "icmltitlerunning",
    "icmlsetsymbol",
    "icmlauthor",
    "icmlaffiliation",
    "icmlcorrespondingauthor",
    "icmlkeywords",
    "name",
    "IEEEpubid",
    "IEEEoverridecommandlockouts",
    "hypersetup",
    "setlength",
    "addtolength",
    "setcounter",
    "newpage",
    "clearpage",
    "pagenumbering",
    "flushbottom",
    "raggedbottom",
    "footnotetext",
    "frontmatter",
];

pub(super) fn is_bibliography(environment: &[u8]) -> bool {
    matches!(
        environment,
        b"thebibliography" | b"references" | b"REFERENCES" | b"chapthebibliography" | b"biblist" | b"bibdiv"
    )
}

/// What goes wherever it stands: lives of the authors, and codes of subjects in XML.
pub(super) fn is_beside(environment: &[u8]) -> bool {
    matches!(environment, b"CCSXML" | b"IEEEbiography" | b"IEEEbiographynophoto" | b"biography" | b"biographynophoto")
}

pub(super) fn is_drawing(environment: &[u8]) -> bool {
    matches!(
        environment,
        b"tikzpicture"
            | b"pgfpicture"
            | b"picture"
            | b"pspicture"
            | b"pspicture*"
            | b"asy"
            | b"overpic"
            | b"feynmandiagram"
            | b"fmffile"
            | b"circuitikz"
            | b"axis"
            | b"forest"
            | b"mpostfig"
    )
}
