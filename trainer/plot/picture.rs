//! A picture as its shapes: what is drawn, once, for every form in which it is written.

/// Red, green and blue.
pub type Colour = [u8; 3];

/// What a letter takes of a line, in units: the widest that a form gives it.
pub const LETTER: f64 = 7.0;

/// Where a text begins, in relation to its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// Something to see. Lengths are units, of which a picture has some hundreds; `x` grows to the right,
/// `y` downwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Straight pieces from point to point.
    Line {
        /// Where it bends.
        points: Vec<(f64, f64)>,
        /// What it is drawn with.
        colour: Colour,
        /// How wide it is.
        width: f64,
        /// Lengths of ink and of gap, where it is not whole.
        dash: Option<[f64; 2]>,
    },
    /// A filled circle.
    Dot {
        /// Its middle.
        at: (f64, f64),
        /// From there to its rim.
        radius: f64,
        /// What it is filled with.
        colour: Colour,
    },
    /// A line of text, 12 units high.
    Text {
        /// A point of the line that letters stand on.
        at: (f64, f64),
        /// Which point of it.
        anchor: Anchor,
        /// What it says.
        text: String,
        /// What it is written with.
        colour: Colour,
        /// Whether it is heavy.
        bold: bool,
    },
}

/// Shapes on white, the later ones on the earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Units from left to right.
    pub width: f64,
    /// Units from top to bottom.
    pub height: f64,
    /// What is to be seen.
    pub shapes: Vec<Shape>,
}

impl Picture {
    /// Adds a line that is whole.
    pub fn line(&mut self, points: Vec<(f64, f64)>, colour: Colour, width: f64) {
        self.shapes.push(Shape::Line { points, colour, width, dash: None });
    }

    /// Adds a line of text.
    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, text: impl Into<String>, colour: Colour) {
        self.shapes.push(Shape::Text { at, anchor, text: text.into(), colour, bold: false });
    }
}

/// How wide a text is at most, in units: letters of East Asia take two places.
pub fn width(text: &str) -> f64 {
    text.chars().map(|letter| if letter < '\u{1100}' { LETTER } else { 2.0 * LETTER }).sum()
}
