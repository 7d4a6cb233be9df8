// Lines over a logarithmic axis, as SVG.
const WIDTH = 340;
const HEIGHT = 190;
const COLUMNS = 2;
const MARGIN = { left: 44, right: 14, top: 34, bottom: 34 };
const LINES = [
  { key: 'node', name: 'Node', color: '#3b6fb6' },
  { key: 'redis', name: 'Redis', color: '#c2453c' },
];

const place = (values) => {
  const logs = values.map((value) => Math.log10(Math.max(value, 1)));
  const [first, last] = [Math.min(...logs), Math.max(...logs)];
  return (value) => (last === first ? 0.5 : (Math.log10(Math.max(value, 1)) - first) / (last - first));
};
const short = (value) => (value >= 1000 ? `${value / 1000}k` : `${value}`);
const text = (x, y, words, more = '') => `<text x="${x}" y="${y}" ${more}>${words}</text>`;

function panel({ title, points }, left, above) {
  const along = place(points.map(({ at }) => at));
  const most = Math.max(...points.flatMap(({ node, redis }) => [node, redis])) * 1.1;
  const [width, height] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const x = (at) => left + MARGIN.left + along(at) * width;
  const y = (value) => above + MARGIN.top + height * (1 - value / most);
  const axes = [0, most / 2, most].map(
    (value) =>
      `<line x1="${left + MARGIN.left}" x2="${left + WIDTH - MARGIN.right}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>` +
      text(left + MARGIN.left - 6, y(value) + 4, Math.round(value), 'text-anchor="end"'),
  );
  const marks = points.map(({ at }) =>
    text(x(at), above + HEIGHT - MARGIN.bottom + 16, short(at), 'text-anchor="middle"'),
  );
  const lines = LINES.map(({ key, color }) => {
    const spots = points.map((point) => [x(point.at), y(point[key])]);
    const circles = spots.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`);
    return `<polyline points="${spots.map((spot) => spot.join(',')).join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>${circles.join('')}`;
  });
  const heading = text(left + MARGIN.left, above + 22, title, 'font-weight="bold"');
  return [heading, ...axes, ...marks, ...lines].join('\n');
}

/** A panel for each, two in a row. */
export function growthPlot(title, panels) {
  const width = WIDTH * COLUMNS;
  const height = HEIGHT * Math.ceil(panels.length / COLUMNS);
  const legend = LINES.map(({ name, color }, index) =>
    text(60 + index * 70, height + 14, name, `fill="${color}" font-weight="bold"`),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + 24}" viewBox="0 0 ${width} ${height + 24}" font-family="sans-serif" font-size="12">
<title>${title}</title>
<rect width="100%" height="100%" fill="white"/>
${panels.map((each, index) => panel(each, (index % COLUMNS) * WIDTH, Math.floor(index / COLUMNS) * HEIGHT)).join('\n')}
${legend.join('\n')}
${text(220, height + 14, title)}
</svg>
`;
}
