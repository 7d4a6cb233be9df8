/** Draws series of numbers over time. Loaded with its library when the history is opened. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** One line of a chart. */
export interface Series {
  readonly label: string;
  /** The name of a variable of the style sheet. */
  readonly color: '--green' | '--red' | '--amber' | '--blue' | '--violet' | '--gray';
  /** Lines differ by dashes too, not by colour alone. */
  readonly dash?: readonly number[];
  /** null where there is nothing. */
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  readonly label: string;
  /** Moments in seconds since 1970. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
}

const HEIGHT = 190;
/** Least distance of the times below a chart. */
const TIME_SPACE = 90;

/** Returns a color of the style sheet as a canvas understands it: the variables depend on the theme. */
function colorOf(element: HTMLElement, variable: string): string {
  const before = element.style.color;
  element.style.color = `var(${variable})`;
  const { color } = getComputedStyle(element);
  element.style.color = before;
  return color;
}

/** Returns the indexes of values without neighbours, which no line reaches. */
function aloneIn(values: ArrayLike<number | null | undefined>): number[] {
  const isThere = (index: number) => values[index] != null;
  return Array.from(values, (_, index) => index).filter(
    (index) => isThere(index) && !isThere(index - 1) && !isThere(index + 1),
  );
}

export default function Chart({ label, times, series, format }: ChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const data = [times, ...series.map(({ values }) => values)] as uPlot.AlignedData;

  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const draw = () => {
      const text = colorOf(element, '--dim');
      const grid = { stroke: colorOf(element, '--line'), width: 1 };
      const axis = { stroke: text, grid, ticks: grid };
      chart.current?.destroy();
      chart.current = new uPlot(
        {
          width: Math.max(element.clientWidth, 200),
          height: HEIGHT,
          cursor: { y: false },
          axes: [
            { ...axis, space: TIME_SPACE },
            { ...axis, size: 64, values: (_, values) => values.map(format) },
          ],
          scales: { y: { range: (_, __, max) => [0, Math.max(max, 1)] } },
          series: [
            {},
            ...series.map(({ label: name, color, dash }) => ({
              label: name,
              stroke: colorOf(element, color),
              width: 1.75,
              points: {
                size: 5,
                filter: (plot: uPlot, index: number, isShown: boolean) =>
                  isShown ? null : aloneIn(plot.data[index] ?? []),
              },
              ...(dash !== undefined && { dash: [...dash] }),
              value: (_: uPlot, value: number | null) => (value === null ? '–' : format(value)),
            })),
          ],
        },
        data,
        element,
      );
    };
    draw();
    const resized = new ResizeObserver(() =>
      chart.current?.setSize({ width: Math.max(element.clientWidth, 200), height: HEIGHT }),
    );
    resized.observe(element);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    const themed = new MutationObserver(draw);
    themed.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      resized.disconnect();
      themed.disconnect();
      dark.removeEventListener('change', draw);
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [label]);
  useEffect(() => chart.current?.setData(data), [data]);

  return <div ref={holder} class="chart" role="img" aria-label={label} />;
}
