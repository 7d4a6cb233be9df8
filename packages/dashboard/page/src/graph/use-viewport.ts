/** Moves and zooms the graph: wheel with Ctrl, two fingers, drag, buttons and keys. */
import type { RefObject } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import {
  type Box,
  bounded,
  fittingZoom,
  type Point,
  type Size,
  scrollAfterZoom,
  scrollToShow,
  ZOOM,
} from './viewport.js';

export interface Viewport {
  readonly canvas: RefObject<HTMLDivElement | null>;
  readonly zoom: number;
  /** Multiplies the zoom, around the middle of the view. */
  readonly change: (factor: number) => void;
  /** Shows the whole graph. */
  readonly fit: () => void;
  /** Scrolls to a node unless it is in the view. */
  readonly show: (node: Box) => void;
}

/** A zoom below this is not chosen by itself: the labels would be too small to read. */
const MIN_FIRST_ZOOM = 0.6;

export function useViewport(graph: Size | undefined): Viewport {
  const canvas = useRef<HTMLDivElement>(null);
  const [zoom, setZoom] = useState(1);
  const state = useRef({ zoom: 1, scroll: undefined as Point | undefined, isChosen: false });
  const width = graph?.width ?? 1;
  const height = graph?.height ?? 1;

  const zoomTo = useCallback((wanted: number, at?: Point) => {
    const view = canvas.current;
    if (view === null) return;
    const after = bounded(wanted);
    const middle = { x: view.clientWidth / 2, y: view.clientHeight / 2 };
    const { zoom: before, scroll } = state.current;
    const from = scroll ?? { x: view.scrollLeft, y: view.scrollTop };
    state.current = {
      zoom: after,
      scroll: scrollAfterZoom(from, at ?? middle, before, after),
      isChosen: true,
    };
    setZoom(after);
  }, []);

  // The position is set after the graph has its new size.
  useLayoutEffect(() => {
    const { scroll } = state.current;
    state.current.scroll = undefined;
    if (scroll !== undefined) canvas.current?.scrollTo(scroll.x, scroll.y);
  }, [zoom]);

  const fit = useCallback(() => {
    const view = canvas.current;
    if (view !== null) zoomTo(fittingZoom({ width, height }, innerSizeOf(view)));
  }, [zoomTo, width, height]);

  // A graph that is a little too large for the page is shown as a whole, until the user chooses a zoom.
  useLayoutEffect(() => {
    if (state.current.isChosen) return;
    const view = canvas.current;
    const fitting = view === null ? 1 : fittingZoom({ width, height }, innerSizeOf(view));
    if (fitting < MIN_FIRST_ZOOM) return;
    zoomTo(fitting);
    state.current.isChosen = false;
  }, [zoomTo, width, height]);

  useEffect(() => {
    const view = canvas.current;
    return view === null ? undefined : listen(view, zoomTo, () => state.current.zoom);
  }, [zoomTo]);

  return {
    canvas,
    zoom,
    change: (factor) => zoomTo(state.current.zoom * factor),
    fit,
    show(node) {
      const view = canvas.current;
      if (view === null) return;
      const from = { x: view.scrollLeft, y: view.scrollTop };
      const size = { width: view.clientWidth, height: view.clientHeight };
      const { x, y } = scrollToShow(from, size, node, state.current.zoom);
      view.scrollTo({ left: x, top: y, behavior: isStill() ? 'auto' : 'smooth' });
    },
  };
}

const isStill = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** Returns the room of an element for what it contains: without its padding. */
function innerSizeOf(view: HTMLElement): Size {
  const style = getComputedStyle(view);
  const { maxHeight, paddingLeft, paddingTop } = style;
  const height = Number.parseFloat(maxHeight) || view.clientHeight;
  return {
    width: view.clientWidth - 2 * Number.parseFloat(paddingLeft),
    height: height - 2 * Number.parseFloat(paddingTop),
  };
}

/** Listens to wheel, drag and two fingers. Returns a function that stops. */
function listen(view: HTMLElement, zoomTo: (zoom: number, at: Point) => void, zoomNow: () => number) {
  const pointOf = ({ clientX, clientY }: { clientX: number; clientY: number }): Point => {
    const { left, top } = view.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };
  const wheel = (event: WheelEvent) => {
    if (!event.ctrlKey && !event.metaKey) return; // scrolls
    event.preventDefault();
    zoomTo(zoomNow() * Math.exp(-event.deltaY / 300), pointOf(event));
  };
  let pinch: { readonly distance: number; readonly zoom: number } | undefined;
  const fingersOf = ({ touches: [one, two] }: TouchEvent) => {
    if (one === undefined || two === undefined) return undefined;
    const middle = { clientX: (one.clientX + two.clientX) / 2, clientY: (one.clientY + two.clientY) / 2 };
    return {
      distance: Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) || 1,
      middle: pointOf(middle),
    };
  };
  const touch = (event: TouchEvent) => {
    const fingers = fingersOf(event);
    if (fingers === undefined) {
      pinch = undefined;
      return;
    }
    event.preventDefault(); // else the browser zooms the page
    pinch ??= { distance: fingers.distance, zoom: zoomNow() };
    zoomTo((pinch.zoom * fingers.distance) / pinch.distance, fingers.middle);
  };
  const drag = (down: PointerEvent) => {
    if (down.pointerType !== 'mouse' || down.button !== 0) return;
    if ((down.target as Element).closest('.node') !== null) return;
    down.preventDefault();
    view.focus({ preventScroll: true });
    view.setPointerCapture(down.pointerId);
    view.classList.add('dragged');
    const [left, top] = [view.scrollLeft + down.clientX, view.scrollTop + down.clientY];
    const move = (event: PointerEvent) => view.scrollTo(left - event.clientX, top - event.clientY);
    const end = () => {
      view.classList.remove('dragged');
      view.removeEventListener('pointermove', move);
    };
    view.addEventListener('pointermove', move);
    view.addEventListener('lostpointercapture', end, { once: true });
  };
  view.addEventListener('wheel', wheel, { passive: false });
  view.addEventListener('touchstart', touch, { passive: false });
  view.addEventListener('touchmove', touch, { passive: false });
  view.addEventListener('touchend', touch);
  view.addEventListener('pointerdown', drag);
  return () => {
    view.removeEventListener('wheel', wheel);
    view.removeEventListener('touchstart', touch);
    view.removeEventListener('touchmove', touch);
    view.removeEventListener('touchend', touch);
    view.removeEventListener('pointerdown', drag);
  };
}

/** The keys of the graph, and by what they multiply the zoom. */
export const ZOOM_KEYS: Readonly<Record<string, number>> = {
  '+': ZOOM.step,
  '=': ZOOM.step,
  '-': 1 / ZOOM.step,
};
