import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { beforeAll, expect, test } from 'vitest'
import { Markdown, safeLink } from './Markdown'

beforeAll(() => {
  ;(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true
})

async function draw(text: string, mentions: { name: string; me: boolean }[] = []) {
  const box = document.createElement('div')
  const root = createRoot(box)
  await act(() => root.render(<Markdown text={text} mentions={mentions} />))
  return box.firstElementChild!
}

test.each([
  ['vector<int> & "x" &amp; <b>no</b>', 'vector<int> & "x" &amp; <b>no</b>'],
  ['# no heading', '# no heading'],
  ['a\n---', 'a---'],
  ['| a | b |\n|---|---|', '| a | b ||---|---|'],
  ['    four spaces', '    four spaces'],
  ['<!-- no -->', '<!-- no -->'],
  ['[a]: https://x.y', '[a]: https://x.y'],
  ['![x](https://x.y/z.png)', '![x](https://x.y/z.png)'],
  ['[click](javascript:alert(1))', '[click](javascript:alert(1))'],
  ['2024. was good', 'was good'],
])('%j reads as %j', async (text, want) => expect((await draw(text)).textContent).toBe(want))

test.each([
  ['**b** *i* ~~d~~ `c`', 'strong,em,del,code'],
  ['```js\nx\n```', 'pre,code,svg,path'],
  ['> q', 'blockquote'],
  ['- a\n- b', 'ul,li,li'],
])('%j has %s', async (text, want) => {
  const made = [...(await draw(text)).querySelectorAll('*')].map((e) => e.tagName.toLowerCase()).filter((t) => !['p', 'span', 'div', 'button'].includes(t))
  expect(made.join()).toBe(want)
})

test.each([
  ['https://x.y/a?b=1', 'https://x.y/a?b=1'],
  ['mailto:a@b.c', 'mailto:a@b.c'],
  ['javascript:alert(1)', null],
  ['JaVaScRiPt:alert(1)', null],
  ['data:text/html,x', null],
  ['vbscript:x', null],
  ['/etc/passwd', null],
  ['file:///etc/passwd', null],
])('the link %j leads to %j', (href, want) => expect(safeLink(href)).toBe(want))

test('mentions are marked, longest name first, in any case', async () => {
  const box = await draw('hi @ann lee and @Ann!', [{ name: 'Ann', me: false }, { name: 'Ann Lee', me: true }])
  expect([...box.querySelectorAll('.mention')].map((m) => [m.textContent, m.classList.contains('me')])).toEqual([
    ['@ann lee', true],
    ['@Ann', false],
  ])
})
