import { Dialog } from '../ui/Dialog'

const keys: [string, [string, string][]][] = [
  [
    'Everywhere',
    [
      ['?', 'This list, from a field with Ctrl /'],
      ['Ctrl K', 'Search'],
      ['Alt ↑ ↓', 'Earlier or later room'],
      ['Esc', 'Close what is open'],
    ],
  ],
  [
    'Writing',
    [
      ['Enter', 'Send'],
      ['Shift Enter', 'New line'],
      ['↑', 'Edit your last message'],
      ['@', 'Mention somebody'],
      [':', 'Emoji by name'],
    ],
  ],
  [
    'On a message',
    [
      ['↑ ↓', 'Earlier or later message'],
      ['Enter', 'All that can be done'],
      ['R', 'Reply'],
      ['+', 'React'],
      ['E', 'Edit'],
      ['C', 'Copy'],
      ['Delete', 'Delete'],
    ],
  ],
]

const marks: [string, string][] = [
  ['**bold**', 'bold'],
  ['*italic*', 'italic'],
  ['`code`', 'code; ``` around lines for a block'],
  ['> quote', 'a quote'],
  ['- item', 'a list'],
]

export default function Help({ onClose }: { onClose(): void }) {
  return (
    <Dialog title="Keys and marks" onClose={onClose} className="help" scrolls>
      {keys.map(([title, rows]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {rows.map(([key, what]) => (
              <div key={what}>
                <dt>
                  {key.split(' ').map((k) => (
                    <kbd key={k}>{k}</kbd>
                  ))}
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <section>
        <h3>In a message</h3>
        <dl>
          {marks.map(([mark, what]) => (
            <div key={mark}>
              <dt>
                <code>{mark}</code>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </section>
    </Dialog>
  )
}
