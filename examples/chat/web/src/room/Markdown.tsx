import { Lexer, Tokenizer, type Token, type Tokens } from 'marked'
import { memo, useState, type ReactNode } from 'react'
import { copyText } from '../ui/copy'
import { Icon } from '../ui/Icon'

/** Takes the parts of Markdown that a chat has no use for as the text that they are. */
class Lite extends Tokenizer {
  override code() {
    return undefined
  }
  override heading() {
    return undefined
  }
  override lheading() {
    return undefined
  }
  override hr() {
    return undefined
  }
  override html() {
    return undefined
  }
  override def() {
    return undefined
  }
  override table() {
    return undefined
  }
  override tag() {
    return undefined
  }
  override reflink() {
    return undefined
  }
}

const options = { gfm: true, breaks: true, tokenizer: new Lite() }

interface Mentioned {
  name: string
  me: boolean
}

interface Props {
  text: string
  mentions: Mentioned[]
}

/** A message as it was meant, made of elements: none of its text is ever read as HTML. */
export const Markdown = memo(function Markdown({ text, mentions }: Props) {
  return <div className="markdown">{blocks(new Lexer(options).lex(text), mentions)}</div>
})

function blocks(tokens: Token[], mentions: Mentioned[]): ReactNode {
  return tokens.map((generic, i) => {
    const token = generic as Tokens.Generic
    switch (token.type) {
      case 'space':
        return null
      case 'code':
        return <CodeBlock key={i} text={token.text as string} />
      case 'blockquote':
        return <blockquote key={i}>{blocks(token.tokens ?? [], mentions)}</blockquote>
      case 'list':
        return <List key={i} list={token as Tokens.List} mentions={mentions} />
      case 'paragraph':
        return <p key={i}>{inline(token.tokens ?? [], mentions)}</p>
      case 'text':
        return <span key={i}>{token.tokens ? inline(token.tokens, mentions) : withMentions(token.text as string, mentions)}</span>
      default:
        return <p key={i}>{token.raw}</p>
    }
  })
}

function List({ list, mentions }: { list: Tokens.List; mentions: Mentioned[] }) {
  const items = list.items.map((item, i) => (
    <li key={i} className={item.task ? 'task' : undefined}>
      {item.task && <span role="img" aria-label={item.checked ? 'done' : 'to do'}>{item.checked ? '☑ ' : '☐ '}</span>}
      {blocks(
        item.tokens.filter((t) => t.type !== 'checkbox'),
        mentions,
      )}
    </li>
  ))
  return list.ordered ? <ol start={list.start || 1}>{items}</ol> : <ul>{items}</ul>
}

function inline(tokens: Token[], mentions: Mentioned[]): ReactNode {
  return tokens.map((generic, i) => {
    const token = generic as Tokens.Generic
    switch (token.type) {
      case 'text':
        return <span key={i}>{token.tokens ? inline(token.tokens, mentions) : withMentions(token.text as string, mentions)}</span>
      case 'escape':
        return token.text as string
      case 'strong':
        return <strong key={i}>{inline(token.tokens ?? [], mentions)}</strong>
      case 'em':
        return <em key={i}>{inline(token.tokens ?? [], mentions)}</em>
      case 'del':
        return <del key={i}>{inline(token.tokens ?? [], mentions)}</del>
      case 'codespan':
        return <code key={i}>{token.text}</code>
      case 'br':
        return <br key={i} />
      case 'link': {
        const href = safeLink(token.href as string)
        return href ? (
          <a key={i} href={href} target="_blank" rel="noopener noreferrer nofollow">
            {inline(token.tokens ?? [], [])}
          </a>
        ) : (
          token.raw
        )
      }
      default:
        return token.raw
    }
  })
}

/** The address, if following it can do no more than open it. */
export function safeLink(href: string): string | null {
  try {
    const url = new URL(href)
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null
  } catch {
    return null
  }
}

const quoted = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

function withMentions(text: string, mentions: Mentioned[]): ReactNode {
  if (mentions.length === 0 || !text.includes('@')) return text
  const longestFirst = [...mentions].sort((a, b) => b.name.length - a.name.length)
  const found = new RegExp(`(@(?:${longestFirst.map((m) => quoted(m.name)).join('|')}))`, 'giu')
  return text.split(found).map((part, i) => {
    if (i % 2 === 0) return part
    const who = mentions.find((m) => m.name.toLowerCase() === part.slice(1).toLowerCase())
    return (
      <span key={i} className={`mention${who?.me ? ' me' : ''}`}>
        {part}
      </span>
    )
  })
}

function CodeBlock({ text }: { text: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await copyText(text)
    setCopied(true)
    setTimeout(() => setCopied(false), 2_000)
  }
  return (
    <div className="code-block">
      <pre tabIndex={0} className="inset" aria-label="Code">
        <code>{text}</code>
      </pre>
      <button type="button" className="icon-button" aria-label="Copy the code" onClick={() => void copy()}>
        {copied ? <span className="tiny">Copied</span> : <Icon name="copy" size={16} />}
      </button>
    </div>
  )
}
