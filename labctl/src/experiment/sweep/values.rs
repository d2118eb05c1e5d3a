//! The values of a sweep: lists, and ranges with a step.

/// Values at most: a slip of the hand in a range must not take a night.
const MOST: usize = 100;
/// Digits of a number at most.
const MOST_DIGITS: usize = 12;

/// One value of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// As it would be written alone, with its unit: `5%`.
    pub text: String,
    /// Where it stands on an axis, in the unit of [`Values::unit`]; `None` if the values have none in common.
    pub number: Option<f64>,
    /// Where it stands in the argument, in characters from 0.
    pub(super) at: usize,
}

/// All values of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    pub(super) all: Vec<Value>,
    /// Unit of the axis: `%`, `ms`, `kbit/s`, `kB`, or that of the numbers.
    pub(super) unit: String,
}

/// What is wrong, and where: in characters from the beginning of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) why: String,
}

fn mistake<T>(at: usize, why: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake { at, why: why.into() })
}

/// A number as it is written, exactly: `units` times ten to the power of -`places`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    units: u64,
    places: u32,
}

impl Decimal {
    /// Number and unit of a word; no number if it begins with none.
    fn split(text: &str) -> (Option<Self>, &str) {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        (Self::read(number), unit.trim())
    }

    fn read(text: &str) -> Option<Self> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{rest}");
        let places = u32::try_from(rest.len()).ok()?;
        let fits = !whole.is_empty() && digits.len() <= MOST_DIGITS;
        fits.then(|| digits.parse().ok().map(|units| Self { units, places })).flatten()
    }

    /// The same number with so many places; `None` if there is no room for its digits.
    fn with(self, places: u32) -> Option<u64> {
        self.units.checked_mul(10_u64.checked_pow(places.checked_sub(self.places)?)?)
    }

    fn number(self) -> f64 {
        self.units as f64 / 10_f64.powi(self.places.cast_signed())
    }
}

fn written(units: u64, places: u32) -> String {
    let tens = 10_u64.pow(places);
    if places == 0 {
        return units.to_string();
    }
    let text = format!("{}.{:0width$}", units / tens, units % tens, width = places as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value before those without a unit have got one.
struct Item<'a> {
    at: usize,
    number: Option<Decimal>,
    unit: &'a str,
    text: String,
}

/// Reads values with commas between them. Each is a word, or a range with a step (`0..200ms/50ms`). A number without
/// a unit gets the unit of the last value that has one.
pub(super) fn read(text: &str) -> Result<Values, Mistake> {
    let mut items = Vec::new();
    let mut at = 0;
    for part in text.split(',') {
        let word = part.trim();
        let begin = at + part.chars().take_while(|c| c.is_whitespace()).count();
        at += part.chars().count() + 1;
        if word.is_empty() {
            return mistake(begin, "a value is missing; write values with commas between them: 0,1,2,5,10%");
        }
        if let Some((from, rest)) = word.split_once("..") {
            range(from.trim(), rest.trim(), begin, &mut items)?;
        } else {
            let (number, unit) = Decimal::split(word);
            items.push(Item { at: begin, number, unit, text: word.to_owned() });
        }
        if items.len() > MOST {
            return mistake(begin, format!("more than {MOST} values; take a larger step"));
        }
    }
    finish(items)
}

fn range<'a>(from: &'a str, rest: &'a str, at: usize, items: &mut Vec<Item<'a>>) -> Result<(), Mistake> {
    let Some((to, step)) = rest.split_once('/') else {
        return mistake(at, format!("a range needs a step; write it behind a '/': {from}..{rest}/STEP"));
    };
    let ((first, unit), (last, last_unit), (step, step_unit)) =
        (Decimal::split(from), Decimal::split(to.trim()), Decimal::split(step.trim()));
    let (Some(first), Some(last), Some(step)) = (first, last, step) else {
        let found = format!("{from}..{rest}");
        return mistake(
            at,
            format!("a range is two numbers and a step, such as 0..200ms/50ms; found '{found}'"),
        );
    };
    let units = [last_unit, step_unit, unit];
    let unit = units.into_iter().find(|unit| !unit.is_empty()).unwrap_or_default();
    if units.iter().any(|other| !other.is_empty() && *other != unit) {
        return mistake(at, format!("write the ends of a range and its step in one unit: '{unit}'"));
    }
    let places = first.places.max(last.places).max(step.places);
    let [Some(mut now), Some(end), Some(step)] = [first, last, step].map(|number| number.with(places)) else {
        return mistake(
            at,
            format!(
                "a range cannot have {places} digits behind the point and numbers this large; write its ends and its \
                 step with fewer digits"
            ),
        );
    };
    if step == 0 {
        return mistake(at, "the step of a range cannot be 0");
    }
    if now > end {
        return mistake(at, "a range begins with its lower end");
    }
    if (end - now) / step >= MOST as u64 {
        return mistake(at, format!("more than {MOST} values; take a larger step"));
    }
    while now <= end {
        let number = Some(Decimal { units: now, places });
        items.push(Item { at, number, unit, text: format!("{}{unit}", written(now, places)) });
        let Some(next) = now.checked_add(step) else { break };
        now = next;
    }
    Ok(())
}

fn finish(items: Vec<Item<'_>>) -> Result<Values, Mistake> {
    let unit = items.iter().rev().find(|item| item.number.is_some() && !item.unit.is_empty());
    let unit = unit.map_or("", |item| item.unit);
    let mut all: Vec<(Value, &str)> = Vec::new();
    for Item { at, number, unit: own, text } in items {
        let lacks = number.is_some() && own.is_empty();
        let (unit, text) = if lacks { (unit, format!("{text}{unit}")) } else { (own, text) };
        if let Some((before, _)) = all.iter().find(|(before, _)| before.text == text) {
            let place = before.at + 1;
            return mistake(at, format!("'{text}' stands at character {place} of the values already"));
        }
        let (factor, base) = scale(unit);
        all.push((Value { text, number: number.map(|number| number.number() * factor), at }, base));
    }
    if let [(only, _)] = &all[..] {
        return mistake(only.at, "one value makes no curve; give two or more: 0,1,2,5,10%");
    }
    let base = all[0].1;
    let on_one_axis = all.iter().all(|(value, unit)| value.number.is_some() && *unit == base);
    let (mut all, unit): (Vec<Value>, _) =
        (all.into_iter().map(|(value, _)| value).collect(), if on_one_axis { base } else { "" }.to_owned());
    if !on_one_axis {
        for value in &mut all {
            value.number = None;
        }
    }
    Ok(Values { all, unit })
}

/// By what a number in this unit is multiplied for the axis, and the axis' unit.
fn scale(unit: &str) -> (f64, &str) {
    match unit {
        "us" => (1e-3, "ms"),
        "ms" => (1.0, "ms"),
        "s" => (1e3, "ms"),
        "bit" => (1e-3, "kbit/s"),
        "kbit" => (1.0, "kbit/s"),
        "mbit" => (1e3, "kbit/s"),
        "gbit" => (1e6, "kbit/s"),
        "b" => (1e-3, "kB"),
        "kb" => (1.0, "kB"),
        "mb" => (1e3, "kB"),
        other => (1.0, other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        read(text).unwrap().all.into_iter().map(|value| value.text).collect()
    }

    #[test]
    fn lists_and_ranges_are_read_with_one_unit_for_all() {
        for (text, values) in [
            ("0,1,2,5,10%", &["0%", "1%", "2%", "5%", "10%"][..]),
            ("0%, 1% ,2%", &["0%", "1%", "2%"]),
            ("0..200ms/50ms", &["0ms", "50ms", "100ms", "150ms", "200ms"]),
            ("0..20/10ms,1s", &["0ms", "10ms", "20ms", "1s"]),
            ("0ms..1/0.25", &["0ms", "0.25ms", "0.5ms", "0.75ms", "1ms"]),
            ("0..10%/4", &["0%", "4%", "8%"]),
            ("1,2%/4", &["1%/4", "2%/4"]),
            ("uniform,pareto", &["uniform", "pareto"]),
            ("none,56kbit,1mbit", &["none", "56kbit", "1mbit"]),
            ("10,20", &["10", "20"]),
        ] {
            assert_eq!(texts(text), values, "{text}");
        }
    }

    #[test]
    fn numbers_of_several_units_are_on_one_axis_and_words_are_on_none() {
        let read = |text| {
            let values = read(text).unwrap();
            (values.all.into_iter().map(|value| value.number).collect::<Vec<_>>(), values.unit)
        };
        assert_eq!(read("500us,20ms,1s"), (vec![Some(0.5), Some(20.0), Some(1000.0)], "ms".to_owned()));
        assert_eq!(read("56kbit,1mbit"), (vec![Some(56.0), Some(1000.0)], "kbit/s".to_owned()));
        assert_eq!(read("1,2.5%"), (vec![Some(1.0), Some(2.5)], "%".to_owned()));
        assert_eq!(read("none,1mbit"), (vec![None, None], String::new()));
        assert_eq!(read("1ms,1%"), (vec![None, None], String::new()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, at, why) in [
            ("", 0, "a value is missing"),
            ("1%,,2%", 3, "a value is missing"),
            ("5%", 0, "one value makes no curve"),
            ("1,2, 1%", 5, "'1%' stands at character 1"),
            ("0..200ms", 0, "a range needs a step"),
            ("0,10..20ms/0ms", 2, "cannot be 0"),
            ("20..10ms/1ms", 0, "lower end"),
            ("0..1s/100ms", 0, "in one unit: 's'"),
            ("a..b/c", 0, "a range is two numbers and a step"),
            ("0..1000ms/1ms", 0, "more than 100 values"),
            ("0..100%/1%", 0, "more than 100 values"),
        ] {
            let mistake = read(text).unwrap_err();
            assert_eq!(mistake.at, at, "{text}: {}", mistake.why);
            assert!(mistake.why.contains(why), "{text}: {}", mistake.why);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_read_or_refused(text in "[0-9a-z.,/% ]{0,30}") {
            if let Ok(values) = read(&text) {
                prop_assert!((2..=MOST + 1).contains(&values.all.len()));
            }
        }

        #[test]
        fn numbers_of_any_length_are_read_or_refused(
            text in "[0-9]{1,13}(\\.[0-9]{0,12})?\\.\\.[0-9]{1,13}(\\.[0-9]{0,12})?(ms)?/[0-9]{1,13}(\\.[0-9]{0,12})?(ms)?",
        ) {
            if let Ok(values) = read(&text) {
                prop_assert!((2..=MOST + 1).contains(&values.all.len()), "{}", text);
            }
        }

        #[test]
        fn a_range_is_the_list_of_its_values(first in 0_u64..50, step in 1_u64..20, count in 2_u64..20) {
            let list: Vec<String> = (0..count).map(|n| format!("{}ms", first + n * step)).collect();
            let range = format!("{first}..{}ms/{step}ms", first + (count - 1) * step);
            prop_assert_eq!(texts(&range), list.clone());
            prop_assert_eq!(texts(&list.join(",")), list);
        }

        #[test]
        fn tenths_add_up_without_an_error(count in 2_u32..99) {
            let values = read(&format!("0..{}.{}%/0.1%", (count - 1) / 10, (count - 1) % 10)).unwrap();
            let numbers: Vec<f64> = values.all.iter().filter_map(|value| value.number).collect();
            prop_assert_eq!(numbers, (0..count).map(|n| f64::from(n) / 10.0).collect::<Vec<_>>());
        }
    }
}
