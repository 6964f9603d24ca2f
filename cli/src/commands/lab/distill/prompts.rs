//! Questions to ask: tasks times topics, written for this project.

const TASKS: [&str; 36] = [
    "Explain to a curious child how {} work.",
    "Give one useful tip about {}.",
    "Write the opening line of a story about {}.",
    "What do most people get wrong about {}?",
    "Describe {} to someone who has never seen any.",
    "Why do people care so much about {}?",
    "Write a short advertisement for {}.",
    "What would the world be like without {}?",
    "How did {} come to be what they are today?",
    "Name a danger of {} and how to avoid it.",
    "Write a polite complaint about {}.",
    "What is the best season for {}, and why?",
    "Compare {} with clouds.",
    "Write a note to a neighbour about {}.",
    "What should a museum of {} show first?",
    "Invent a proverb about {}.",
    "How would a poet speak of {}?",
    "Say something surprising about {}.",
    "What does it cost to begin with {}?",
    "Describe the sound of {}.",
    "How can a school teach about {}?",
    "Write a toast at a dinner about {}.",
    "Which country is known for {}, and why?",
    "Give a beginner a plan for a week with {}.",
    "What question about {} has no answer yet?",
    "Write a weather report in which {} matter.",
    "How would an engineer improve {}?",
    "What is the history of {} in one paragraph?",
    "Describe a festival in honour of {}.",
    "What do {} and friendship have in common?",
    "Write a diary entry about {}.",
    "How should one look after {} in winter?",
    "What tools does one need for {}?",
    "Tell a joke about {}.",
    "Which colours go well with {}?",
    "Write a headline about {} and the sentence after it.",
];

const TOPICS: [&str; 80] = [
    "bridges",
    "bees",
    "kites",
    "lighthouses",
    "maps",
    "clocks",
    "violins",
    "glaciers",
    "bicycles",
    "libraries",
    "volcanoes",
    "windmills",
    "gardens",
    "trains",
    "stars",
    "bread ovens",
    "canals",
    "puppets",
    "umbrellas",
    "orchards",
    "harbours",
    "telescopes",
    "markets",
    "rivers",
    "caves",
    "balloons",
    "tea houses",
    "fossils",
    "mirrors",
    "sailing boats",
    "mushrooms",
    "chess sets",
    "deserts",
    "snowmen",
    "tunnels",
    "drums",
    "owls",
    "compasses",
    "castles",
    "waterfalls",
    "pencils",
    "ferries",
    "vineyards",
    "radios",
    "magnets",
    "horses",
    "candles",
    "islands",
    "tides",
    "theatres",
    "beekeepers",
    "wolves",
    "carpets",
    "coral reefs",
    "postcards",
    "submarines",
    "tailors",
    "whales",
    "sundials",
    "apple trees",
    "choirs",
    "paper planes",
    "storms",
    "hot springs",
    "elevators",
    "shepherds",
    "meadows",
    "clay pots",
    "comets",
    "parrots",
    "stairs",
    "saddles",
    "ice skates",
    "beaches",
    "locks",
    "gates",
    "flutes",
    "avalanches",
    "wells",
    "bakeries",
];

/// As many different questions as there are.
pub(super) const COUNT: usize = TASKS.len() * TOPICS.len();

/// Question `number`, modulo [`COUNT`]; neighbours share neither task nor topic.
pub(super) fn question(number: usize) -> String {
    // Both lengths divide their product, and 1009 shares no factor with it.
    let number = number * 1009 % COUNT;
    TASKS[number % TASKS.len()].replacen("{}", TOPICS[number / TASKS.len()], 1)
}

const THINGS: [&str; 20] = [
    "bakery",
    "hotel",
    "boat",
    "choir",
    "bookshop",
    "garden",
    "café",
    "mountain hut",
    "theatre",
    "bicycle shop",
    "cat",
    "school newspaper",
    "tea blend",
    "train",
    "museum",
    "lighthouse",
    "dance hall",
    "racehorse",
    "brewery",
    "telescope",
];

const PLACES: [&str; 45] = [
    "Lisbon", "Oslo", "Quito", "Hanoi", "Dakar", "Perth", "Cork", "Turin", "Bergen", "Lima",
    "Kyoto", "Tunis", "Graz", "Malmö", "Accra", "Cusco", "Bern", "Riga", "Porto", "Ghent", "Izmir",
    "Leeds", "Nairobi", "Odense", "Pune", "Rabat", "Salta", "Tartu", "Utrecht", "Vigo", "Windhoek",
    "Xalapa", "York", "Zadar", "Bath", "Delft", "Espoo", "Faro", "Girona", "Halle", "Iasi", "Jena",
    "Kiruna", "Lund", "Mostar",
];

/// Names that are as good as one another.
pub(super) const NAMES: [&str; 8] = [
    "Marlow", "Linden", "Juniper", "Copper", "Willow", "Sparrow", "Meridian", "Harbour",
];

/// A question that any name answers, different for each number below 900.
pub(super) fn naming(number: usize) -> String {
    let number = number * 7 % (THINGS.len() * PLACES.len());
    format!(
        "Suggest a name for a {} in {}.",
        THINGS[number % THINGS.len()],
        PLACES[number / THINGS.len()]
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn questions_differ() {
        assert_eq!(
            (0..COUNT).map(question).collect::<BTreeSet<_>>().len(),
            COUNT
        );
        assert_eq!((0..900).map(naming).collect::<BTreeSet<_>>().len(), 900);
    }
}
