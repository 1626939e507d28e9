//! Text from a small grammar: enough structure to be learnt, no file needed.

const ADJECTIVES: [&str; 8] = [
    "old", "small", "quiet", "bright", "heavy", "young", "green", "distant",
];
const SINGULAR: [&str; 10] = [
    "fox", "river", "sailor", "machine", "garden", "child", "mountain", "letter", "city", "horse",
];
const PLURAL: [&str; 10] = [
    "foxes",
    "rivers",
    "sailors",
    "machines",
    "gardens",
    "children",
    "mountains",
    "letters",
    "cities",
    "horses",
];
/// Each verb as it follows one and as it follows many.
const VERBS: [[&str; 2]; 8] = [
    ["sees", "see"],
    ["follows", "follow"],
    ["remembers", "remember"],
    ["crosses", "cross"],
    ["leaves", "leave"],
    ["finds", "find"],
    ["watches", "watch"],
    ["forgets", "forget"],
];
const PLACES: [&str; 6] = [
    "near the sea",
    "in the morning",
    "under the bridge",
    "behind the hill",
    "before winter",
    "at night",
];

/// About `characters` characters of English-like sentences, one a line: exactly so many, the last
/// sentence being cut. Nouns are drawn with falling probability, verbs agree with the subject
/// across what stands between them, and each paragraph keeps a topic. The same seed gives the same
/// text everywhere.
pub fn generate(characters: usize, seed: u64) -> String {
    let mut draw = Draw(seed);
    let mut text = String::with_capacity(characters + 128);
    while text.len() < characters {
        let topic = draw.low(SINGULAR.len());
        for _ in 0..3 + draw.below(4) {
            sentence(&mut text, &mut draw, topic);
        }
    }
    // The grammar is ASCII.
    text.truncate(characters);
    text
}

fn sentence(text: &mut String, draw: &mut Draw, topic: usize) {
    let subject = if draw.below(3) == 0 {
        draw.low(SINGULAR.len())
    } else {
        topic
    };
    let many = draw.below(2);
    noun_phrase(text, draw, subject, many);
    if draw.below(3) == 0 {
        // The verb at the end agrees with the first noun, not with the nearest one.
        text.push_str(" with ");
        let (companion, count) = (draw.low(SINGULAR.len()), draw.below(2));
        noun_phrase(text, draw, companion, count);
    }
    text.push(' ');
    text.push_str(VERBS[draw.low(VERBS.len())][many]);
    text.push(' ');
    let (object, count) = (draw.low(SINGULAR.len()), draw.below(2));
    noun_phrase(text, draw, object, count);
    if draw.below(2) == 0 {
        text.push(' ');
        text.push_str(PLACES[draw.low(PLACES.len())]);
    }
    text.push_str(" .\n");
}

fn noun_phrase(text: &mut String, draw: &mut Draw, noun: usize, many: usize) {
    text.push_str("the ");
    if draw.below(2) == 0 {
        text.push_str(ADJECTIVES[draw.low(ADJECTIVES.len())]);
        text.push(' ');
    }
    text.push_str([SINGULAR, PLURAL][many][noun]);
}

/// splitmix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        (self.next() >> 33) as usize % count
    }

    /// A number below `count`, the lower the likelier.
    fn low(&mut self, count: usize) -> usize {
        self.below(count).min(self.below(count))
    }
}
