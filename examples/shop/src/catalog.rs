//! The goods. They are part of the program: a shop's catalogue is another demonstration.

use serde::Serialize;

use crate::model::Line;

#[derive(Debug, Serialize)]
pub(crate) struct Product {
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    pub(crate) blurb: &'static str,
    pub(crate) price_cents: u64,
}

const fn product(
    sku: &'static str,
    name: &'static str,
    blurb: &'static str,
    price_cents: u64,
) -> Product {
    Product { sku, name, blurb, price_cents }
}

pub(crate) const PRODUCTS: [Product; 8] = [
    product("mug", "Enamel mug", "Survives the drop, and the dishwasher.", 1800),
    product("notebook", "Field notebook", "Ninety-six dotted, waterproof pages.", 1250),
    product("lamp", "Storm lamp", "Forty hours of warm light.", 6400),
    product("compass", "Brass compass", "Still works when nothing else does.", 3900),
    product("backpack", "Day pack", "Eighteen litres of waxed canvas.", 9800),
    product("flask", "Steel flask", "Hot at dawn, filled at dusk.", 3200),
    product("map", "Folding map", "One sheet, the whole coast.", 1400),
    product("tent", "Two-person tent", "Up in four minutes. Usually.", 24900),
];

/// What the lines cost, when the catalogue knows every one of them.
pub(crate) fn total_cents(lines: &[Line]) -> Option<u64> {
    lines.iter().try_fold(0, |sum, line| {
        let product = PRODUCTS.iter().find(|product| product.sku == line.sku)?;
        Some(sum + product.price_cents * u64::from(line.qty))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, qty: u32) -> Line {
        Line { sku: sku.to_owned(), qty }
    }

    #[test]
    fn totals_multiply_and_add() {
        assert_eq!(total_cents(&[line("mug", 2), line("map", 1)]), Some(5000));
    }

    #[test]
    fn an_unknown_sku_has_no_price() {
        assert_eq!(total_cents(&[line("mug", 2), line("unicorn", 1)]), None);
    }
}
