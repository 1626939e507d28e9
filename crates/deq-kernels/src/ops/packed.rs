//! Packed weights on their way through burn's dispatch.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "flex")]
use crate::flex::Element;
use crate::host::Panels;

/// A factor of a product, packed for the processor, or not. Clones share it.
#[derive(Clone)]
pub(crate) enum Packed {
    /// The backend has no use for one.
    None,
    /// In single precision.
    #[cfg_attr(not(feature = "flex"), allow(dead_code, reason = "only flex packs"))]
    Single(Arc<Panels<f32>>),
    /// In double precision.
    #[cfg_attr(not(feature = "flex"), allow(dead_code, reason = "only flex packs"))]
    Double(Arc<Panels<f64>>),
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Single(_) => "Single",
            Self::Double(_) => "Double",
        })
    }
}

/// Number types that can be packed.
#[cfg(feature = "flex")]
pub(crate) trait Packable: Element {
    /// Panels of this type.
    fn packed(panels: Panels<Self>) -> Packed;
    /// The panels, if there are any of this type.
    fn panels(packed: &Packed) -> Option<&Panels<Self>>;
}

#[cfg(feature = "flex")]
macro_rules! packable {
    ($type:ty, $variant:ident) => {
        impl Packable for $type {
            fn packed(panels: Panels<Self>) -> Packed {
                Packed::$variant(Arc::new(panels))
            }

            fn panels(packed: &Packed) -> Option<&Panels<Self>> {
                match packed {
                    Packed::$variant(panels) => Some(panels),
                    _ => None,
                }
            }
        }
    };
}

#[cfg(feature = "flex")]
packable!(f32, Single);
#[cfg(feature = "flex")]
packable!(f64, Double);
