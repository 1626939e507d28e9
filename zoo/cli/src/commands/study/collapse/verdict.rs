//! Whether the papers' claims show, in plain sentences.

use super::record::{Epoch, Kind};
use super::setting::Setting;
use super::setup::{DataSet, Model};
use super::summary::{Group, measure};

/// A sentence for each claim on a data set that its runs can tell something about.
pub(super) fn sentences(groups: &[Group<'_>], data: DataSet) -> Vec<String> {
    let found = [
        collapse(groups, data),
        simplex(groups, data),
        accuracy(groups, data),
        classifier(groups, data),
    ];
    found.into_iter().flatten().collect()
}

fn find<'a, 'b>(
    groups: &'b [Group<'a>],
    data: DataSet,
    classes: Setting,
    model: Model,
) -> Option<&'b Group<'a>> {
    let kind = Kind {
        data,
        classes,
        model,
    };
    groups.iter().find(|group| group.kind == kind)
}

/// Balanced: DEQs collapse as explicit networks do.
fn collapse(groups: &[Group<'_>], data: DataSet) -> Option<String> {
    let of = |model| find(groups, data, Setting::Balanced, model);
    let (explicit, deq) = (of(Model::Explicit)?, of(Model::Deq)?);
    type Number = fn(&Epoch) -> Option<f64>;
    let numbers: [(&str, Number); 3] = [
        ("NC1", |epoch| epoch.collapse.nc1),
        ("NC2", |epoch| epoch.collapse.nc2),
        ("NC3", |epoch| epoch.collapse.nc3),
    ];
    let mut changes = Vec::new();
    let mut falling = Vec::new();
    for (number, value) in numbers {
        let mut falls = true;
        for (group, name) in [(explicit, "explicit"), (deq, "DEQ")] {
            let curve = group.curve(value);
            let ((_, first), (_, last)) = (*curve.first()?, *curve.last()?);
            falls &= last < first;
            changes.push(format!("{number} {name} {first:.3} → {last:.3}"));
        }
        falling.extend(falls.then_some(number));
    }
    let whether = whether(falling.len(), numbers.len());
    let what = match falling.len() {
        0 => "none of NC1, NC2 and NC3 fell in both".to_owned(),
        count if count == numbers.len() => "all of NC1, NC2 and NC3 fell in both".to_owned(),
        _ => format!("only {} fell in both", falling.join(" and ")),
    };
    Some(format!(
        "On balanced classes DEQs collapse as explicit networks do (2410.23391): at this scale it {whether}, in that {what} from before the first to after the last epoch ({}). How far they fall depends on how long is trained.",
        changes.join(", ")
    ))
}

/// Settings of unequal classes with both members of the pair.
fn pairs<'a, 'b>(
    groups: &'b [Group<'a>],
    data: DataSet,
) -> impl Iterator<Item = (&'b Group<'a>, &'b Group<'a>)> {
    let deqs = groups.iter().filter(move |group| {
        let kind = group.kind;
        kind.data == data && kind.model == Model::Deq && kind.classes != Setting::Balanced
    });
    deqs.filter_map(move |deq| {
        let explicit = find(groups, data, deq.kind.classes, Model::Explicit)?;
        Some((explicit, deq))
    })
}

/// Imbalanced: DEQ features are nearer to an aligned simplex.
fn simplex(groups: &[Group<'_>], data: DataSet) -> Option<String> {
    let (mut lower, mut all) = (0, 0);
    for (explicit, deq) in pairs(groups, data) {
        let nc3 = measure("nc3");
        let (Some(explicit), Some(deq)) = (explicit.spread(nc3), deq.spread(nc3)) else {
            continue;
        };
        all += 1;
        lower += usize::from(deq.mean < explicit.mean);
    }
    if all == 0 {
        return None;
    }
    let whether = whether(lower, all);
    Some(format!(
        "On imbalanced classes DEQ features align with the classifier and with a simplex (2410.23391, for linear DEQs under conditions): at this scale it {whether}, in that the DEQ's mean NC3 is below the explicit network's in {lower} of {all} settings."
    ))
}

/// Imbalanced: what it means for the minority.
fn accuracy(groups: &[Group<'_>], data: DataSet) -> Option<String> {
    let (mut better, mut worse, mut all) = (0, 0, 0);
    let mut differences = Vec::new();
    for (_, deq) in pairs(groups, data) {
        let Some(gain) = deq.spread(measure("minority_over_explicit_points")) else {
            continue;
        };
        all += 1;
        // Beyond the spread of the seeds' differences; a single seed has none.
        let clear = gain
            .deviation
            .is_some_and(|spread| gain.mean.abs() > spread);
        better += usize::from(clear && gain.mean > 0.0);
        worse += usize::from(clear && gain.mean < 0.0);
        differences.push(format!("{}: {}", deq.kind.classes.title(), gain.text(2)));
    }
    if all == 0 {
        return None;
    }
    Some(format!(
        "Minority classes, DEQ minus explicit in points of test accuracy: {}. The DEQ is better beyond the spread over the seeds in {better} of {all} settings and worse in {worse}; of the others nothing can be said.",
        differences.join("; ")
    ))
}

/// A fixed simplex with d = K loses nothing and takes less memory.
fn classifier(groups: &[Group<'_>], data: DataSet) -> Option<String> {
    let of = |model| find(groups, data, Setting::Balanced, model);
    let (wide, etf) = (of(Model::Wide)?, of(Model::Etf)?);
    let mean = |group: &Group<'_>, key: &str| group.spread(measure(key)).map(|spread| spread.mean);
    let ratio = |key: &str| Some(percent_less(mean(wide, key)?, mean(etf, key)?));
    let gain = etf.spread(measure("test_accuracy_percent"))?.mean
        - wide.spread(measure("test_accuracy_percent"))?.mean;
    let features = |group: &Group<'_>| {
        let run = group.runs().next()?;
        Some(run.settings.setup.network.features)
    };
    let deviation = |group: &Group<'_>| {
        let accuracy = group.spread(measure("test_accuracy_percent"));
        accuracy.and_then(|spread| spread.deviation)
    };
    let noise = match (deviation(wide), deviation(etf)) {
        (Some(a), Some(b)) => format!("the seeds' deviations are {a:.2} and {b:.2}"),
        _ => "a single seed has no spread to compare with".to_owned(),
    };
    Some(format!(
        "A fixed simplex classifier with d = K = {} in place of a learned one with d = {} (README of tding1/Neural-Collapse: more than 20 % less memory of a ResNet-18, no loss): {:.1} % fewer parameters, {:.1} % less memory of a step, {gain:+.2} points of test accuracy ({noise}).",
        features(etf)?,
        features(wide)?,
        ratio("parameters")?,
        ratio("peak_mib")?,
    ))
}

fn percent_less(of: f64, value: f64) -> f64 {
    100.0 * (1.0 - value / of)
}

fn whether(cases: usize, all: usize) -> &'static str {
    match cases {
        cases if cases == all => "shows",
        0 => "does not show",
        _ => "shows in part",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::collapse::record::Record;
    use crate::commands::study::collapse::summary::groups;

    fn verdict(records: &[Record]) -> Vec<String> {
        sentences(&groups(records), DataSet::Shapes)
    }

    #[test]
    fn claims_show_or_do_not() {
        let example = Record::example;
        let pair = |deq| {
            [
                example("balanced", Model::Explicit, 0, 0.5),
                example("balanced", Model::Deq, 0, deq),
            ]
        };
        let shows = verdict(&pair(0.25));
        assert_eq!(shows.len(), 1);
        assert!(shows[0].contains("it shows"), "{}", shows[0]);
        assert!(shows[0].contains("NC1 DEQ 1.000 → 0.250"), "{}", shows[0]);
        assert!(verdict(&pair(1.5))[0].contains("it does not show, in that none of"));
        let mut rising = pair(0.25);
        rising[1].measured.epochs[1].collapse.nc2 = Some(0.75);
        let part = verdict(&rising);
        for words in ["shows in part", "only NC1 and NC3 fell in both"] {
            assert!(part[0].contains(words), "{words}: {}", part[0]);
        }
        // One of a pair is no comparison.
        assert!(verdict(&pair(0.5)[..1]).is_empty());
    }

    #[test]
    fn imbalanced_settings_are_counted() {
        let mut records = Vec::new();
        for seed in 0..2 {
            records.push(Record::example("k3-r10", Model::Explicit, seed, 0.5));
            records.push(Record::example("k5-r10", Model::Explicit, seed, 0.5));
            records.push(Record::example("k5-r10", Model::Deq, seed, 0.6));
        }
        records.push(Record::example("k3-r10", Model::Deq, 0, 0.05));
        records.push(Record::example("k3-r10", Model::Deq, 1, 0.05));
        let found = verdict(&records);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("shows in part"), "{}", found[0]);
        assert!(found[0].contains("in 1 of 2 settings"), "{}", found[0]);
        // 50 points with both seeds, and none.
        assert!(
            found[1].contains("K_A = 3, R = 10: 50.00 ± 0.00"),
            "{}",
            found[1]
        );
        assert!(
            found[1].contains("in 1 of 2 settings and worse in 0"),
            "{}",
            found[1]
        );
    }

    #[test]
    fn classifiers_are_compared() {
        let mut records = [
            Record::example("balanced", Model::Wide, 0, 0.5),
            Record::example("balanced", Model::Etf, 0, 0.5),
        ];
        records[1].measured.parameters = 250;
        records[1].measured.peak_bytes = Some(1 << 19);
        let found = verdict(&records);
        assert_eq!(found.len(), 1);
        for words in [
            "75.0 % fewer",
            "50.0 % less memory",
            "+0.00 points",
            "d = K = 10",
        ] {
            assert!(found[0].contains(words), "{words}: {}", found[0]);
        }
    }
}
