// Keys as they look, more or less: by what a profile is, and in a colour for each maker. No maker's mark is drawn.

const SVG = 'http://www.w3.org/2000/svg';

function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const COLOURS = {
  Yubico: 'black', Feitian: 'grey', Google: 'white', 'HID Global': 'orange', Nitrokey: 'red', SoloKeys: 'violet', Swissbit: 'crimson',
  Token2: 'navy',
};

function colour(profile) {
  if (!profile) return 'slate';
  if (profile.name.startsWith('security-key')) return 'blue';
  return COLOURS[profile.imitates] ?? (profile.ctap2 ? 'teal' : 'blue');
}

// Ridges of a finger, for keys that know one.
const ridges = (x, y) => shape('g', { class: 'ridges' }, ...[4, 8, 12].map((r) => (
  shape('path', { d: `M${x - r} ${y + r * 0.7}v${-r * 0.7}a${r} ${r} 0 0 1 ${2 * r} 0v${r * 0.7}` })
)));

const mark = (x, y) => shape('g', { class: 'ridges' }, shape('circle', { cx: x - 5, cy: y, r: 5 }), shape('path', { d: `M${x} ${y}h11v5m-5-5v4` }));

function usb(profile) {
  const version = /-(\d+(?:\.\d+)+)$/.exec(profile?.name ?? '')?.[1] ?? (profile && !profile.ctap2 ? 'U2F' : '');
  const contacts = [39, 45, 51, 57].map((y) => shape('rect', { class: 'contact', x: 20, y: y - 2, width: 30, height: 3.4, rx: 1 }));
  const label = shape('text', { class: 'label', x: 158, y: 52, 'text-anchor': 'middle' });
  label.textContent = version;
  return [
    shape('rect', { class: 'port', x: 1, y: 20, width: 30, height: 56, rx: 5 }),
    shape('g', { class: 'body' },
      shape('rect', { class: 'plug', x: 14, y: 31, width: 56, height: 34, rx: 3 }),
      ...contacts,
      shape('rect', { class: 'case', x: 60, y: 13, width: 150, height: 70, rx: 17 }),
      shape('path', { class: 'sheen', d: 'M77 15.5h116a15 15 0 0 1 14 14a22 22 0 0 0-18-8H82a22 22 0 0 0-19 8a15 15 0 0 1 14-14z' }),
      shape('circle', { class: 'hole', cx: 191, cy: 48, r: 8.5 }),
      shape('circle', { class: 'led', cx: 116, cy: 48, r: 24 }),
      shape('circle', { class: 'disc', cx: 116, cy: 48, r: 18 }),
      profile?.built_in_uv ? ridges(116, 49) : mark(116, 48),
      label),
    shape('rect', { class: 'cover', x: 1, y: 20, width: 25, height: 56, rx: 5 }),
    shape('rect', { class: 'slot', x: 22, y: 29, width: 5, height: 38, rx: 2 }),
  ];
}

// A key that is no device: it is in a phone, or a platform.
const phone = (profile) => [shape('g', { class: 'body' },
  shape('rect', { class: 'case', x: 84, y: 3, width: 60, height: 90, rx: 11 }),
  shape('rect', { class: 'screen', x: 89, y: 9, width: 50, height: 78, rx: 6 }),
  shape('circle', { class: 'led', cx: 114, cy: 48, r: 22 }),
  shape('circle', { class: 'disc', cx: 114, cy: 48, r: 17 }),
  profile?.built_in_uv ? ridges(114, 49) : mark(114, 48))];

// The picture of a key, of a profile of the catalogue, or of none that is known there.
export function drawing(profile, isUsb) {
  const parts = isUsb ? usb(profile) : phone(profile);
  return shape('svg', { viewBox: '0 0 220 96', class: `drawing is-${colour(profile)}`, 'aria-hidden': 'true' }, ...parts);
}
